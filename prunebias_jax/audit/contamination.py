"""What the test split's numbers owe to people who looked at it."""

from prunebias_jax import store
from prunebias_jax.audit.log import Identity, log_path, read_log

TEST = "test"


def contamination(run: store.Run) -> list[str]:
  """Sentences that belong beside a run's test metrics; none where untouched.

  Raises:
    InputError: a verdict log that is damaged, or another run's.
  """
  found = []
  path = log_path(run, TEST)
  if path.exists():
    labels = run.split(TEST).attrs["labels_sha256"]
    _, ledger = read_log(path, Identity.of(run, labels))
    count = len(ledger.verdicts())
    if count:
      found.append(
        f"The test split was audited ({count} verdicts): what is chosen after "
        "that with its metrics in view is not tested on unseen data."
      )
  corrections = run.facts.get("data", {}).get("corrections", {}).get(TEST, 0)
  if corrections:
    found.append(
      f"{corrections} corrections from data.corrections changed the test "
      "split: its metrics are not comparable with those before, and not those "
      "of unseen data."
    )
  return found
