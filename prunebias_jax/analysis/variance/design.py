"""How the members of a population are related: seeds crossed by purpose."""

import pandas as pd

from prunebias_jax.analysis.columns import PURPOSES

CROSSED_DESIGN = (
  "members share seeds by purpose and are not independent: no intervals and "
  "tests, see sources.csv"
)


def crossed_factors(members: pd.DataFrame) -> tuple[str, ...]:
  """The purposes whose seeds some members of a population share.

  Args:
    members: of one population, with the columns of `columns.PURPOSES` where
      they are known.

  Returns:
    Those among `columns.PURPOSES`; empty where all members are independent.
  """
  known = [name for name in PURPOSES if name in members]
  return tuple(name for name in known if members[name].duplicated().any())
