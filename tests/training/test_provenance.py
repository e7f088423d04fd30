"""Which config goes on with a recorded run."""

import pytest

from prunebias_jax import store
from prunebias_jax.config import Marker, Sweep
from prunebias_jax.errors import InputError
from prunebias_jax.training.provenance import require_same


def test_settings_that_a_run_does_not_know_have_their_defaults(tmp_path):
  recorded = Sweep().to_dict()
  del recorded["data"]["marker"], recorded["data"]["labels"]
  run = store.Run(tmp_path, {"sweep": recorded})
  require_same(Sweep(), run)
  marker = Marker(kind="grayscale", attribute="Smiling").to_dict()
  changed = Sweep().override({"data.marker": marker})
  with pytest.raises(InputError, match=r"data\.marker\.kind is 'none' there"):
    require_same(changed, run)
