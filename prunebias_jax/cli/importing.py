"""prunebias import: a run of logits that something else computed."""

import argparse
from pathlib import Path

from prunebias_jax import store
from prunebias_jax.cli.arguments import Verbs, directory
from prunebias_jax.cli.counts import counted
from prunebias_jax.errors import InputError

# Options that only folders have.
OF_FOLDERS = (
  "labels",
  "partition",
  "attribute",
  "marker",
  "values",
  "marks_by",
)


def add(verbs: Verbs) -> None:
  """Adds the verb."""
  parser = verbs.add("import", import_logits)
  parser.add_argument(
    "source",
    metavar="SOURCE",
    type=Path,
    help="an .npz file, or a folder of text files (docs/importing.md)",
  )
  parser.add_argument(
    "--workdir",
    metavar="RUN",
    type=directory,
    required=True,
    help="directory of the run",
  )
  parser.add_argument("--name", help="the run's name (default: SOURCE's)")
  parser.add_argument(
    "--pairing",
    choices=("seed", "none"),
    help="seed: dense and compressed members of equal seed are paired "
    "(default); none: their seeds have nothing to do with each other",
  )
  parser.add_argument(
    "--skip-bad",
    action="store_true",
    help="leave out members whose logits are not finite",
  )
  folder = parser.add_argument_group("a folder of text files")
  folder.add_argument(
    "--labels", metavar="FILE", type=Path, help="list_attr_celeba.txt"
  )
  folder.add_argument(
    "--partition", metavar="FILE", type=Path, help="list_eval_partition.txt"
  )
  folder.add_argument(
    "--attribute", help="of networks of one attribute each: which"
  )
  folder.add_argument("--marker", help="of backdoored data: which marker")
  folder.add_argument(
    "--values",
    choices=("logits", "probabilities"),
    help="what the numbers are; needed where all lie between 0 and 1",
  )
  folder.add_argument(
    "--marks-by",
    choices=("name", "position"),
    help="what backdoor_ids_*.txt hold: file names (default), or positions in "
    "the split, counted from 0",
  )


def import_logits(options: argparse.Namespace) -> None:
  """Makes a run of logits and labels that something else computed."""
  # Imported here: the other verbs need nothing of it.
  from prunebias_jax.importing import import_archive, import_folder

  given = {
    name: getattr(options, name)
    for name in OF_FOLDERS
    if getattr(options, name) is not None
  }
  common = {"name": options.name, "skip_bad": options.skip_bad}
  if options.source.is_dir():
    for name in ("labels", "partition"):
      if name not in given:
        raise InputError(
          f"{options.source} is a folder: --{name} FILE is needed, in the "
          "format of CelebA's official lists"
        )
    run = import_folder(
      options.source,
      options.workdir,
      pairing=options.pairing or "seed",
      **given,
      **common,
    )
  else:
    if given:
      name = next(iter(given)).replace("_", "-")
      raise InputError(f"--{name} is for folders; {options.source} is none")
    run = import_archive(
      options.source, options.workdir, pairing=options.pairing, **common
    )
  for line in summary(run):
    print(line)


def summary(run: store.Run) -> list[str]:
  """What was imported, and what is missing in it."""
  members = run.members()
  bad = members[members["diverged"]]
  lines = []
  if len(bad):
    names = "; ".join(store.member_name(one) for _, one in bad.iterrows())
    lines.append(
      f"{len(bad)} of {counted(len(members), 'member')} are left out, for "
      f"their logits are not finite: {names}"
    )
  lines += [
    f"there are no {split} labels"
    for split in store.SPLITS
    if split not in run.splits
  ]
  count = run.split("test").sizes["example"]
  lines.append(
    f"{counted(len(members) - len(bad), 'member')} on "
    f"{counted(count, 'test example')} in {run.path}; next: "
    f"prunebias analyze {run.path}"
  )
  return lines
