"""What the tests of the audit are tried on: small runs, with exemplars."""

import numpy as np
import pandas as pd

from prunebias_jax import store
from prunebias_jax.audit.log import Identity
from prunebias_jax.config import Sweep
from prunebias_jax.data import load

IDENTITY = Identity(name="tiny", digest="2026-01-31 abc")
SPARSITIES = (0.0, 0.8, 0.99)
HOSTILE = (
  "../../etc/passwd",
  "<img src=x onerror=alert(1)>",
  'it\'s "quoted", & 100 %',
  "=1+1",
  "x" * 3000,
  "Ünï 顔\u202e",
)


def sweep(seeds=(0, 1, 2), counts=(40, 60, 50)):
  """A config of a few procedural faces."""
  return Sweep.from_dict(
    {
      "name": "tiny faces",
      "seeds": list(seeds),
      "sparsities": list(SPARSITIES),
      "data": {
        "name": "faces",
        "size": 32,
        **dict(zip(("train", "valid", "test"), counts, strict=True)),
        "labels": ["Smiling", "Male", "Young"],
        "faces": {"label_noise": 0.1},
      },
    }
  )


def faces_run(path, **options):
  """A run of random logits about faces, analysed as far as an audit needs."""
  config = sweep(**options)
  dataset = load(config.data)
  members = member_table(config.seeds)
  facts = {"sweep": config.to_dict(), "created": "2026-01-31T09:30:00+00:00"}
  run = store.create(path, facts=facts, members=members, dataset=dataset)
  rng = np.random.default_rng(1)
  labels = {name: dataset.splits[name].labels for name in ("valid", "test")}
  fill(run, rng, labels)
  return run


def plain_run(path, ids, *, seeds=(0, 1, 2), outputs=3, classes=False):
  """A run that was imported: the same examples, without pictures."""
  rng = np.random.default_rng(2)
  truth = rng.normal(size=(len(ids), outputs))
  labels = truth.argmax(1).astype(np.int32)
  if not classes:
    labels = (truth > 0).astype(np.uint8)
  identities = rng.integers(0, 2, (len(ids), 1)).astype(np.uint8)
  splits = {
    name: store.labelled(
      labels=labels,
      identities=identities,
      ids=np.array(
        [one if name == "valid" else f"{name} {one}" for one in ids]
      ),
      names=tuple("ABCDEFG"[:outputs]),
      identity_names=("G",),
    )
    for name in store.SPLITS
  }
  run = store.create_from_splits(
    path,
    facts={"name": "imported", "imported": {"pairing": "seed", "files": []}},
    members=member_table(seeds),
    splits=splits,
  )
  fill(run, rng, dict.fromkeys(("valid", "test"), labels), truth)
  return run


def member_table(seeds):
  return pd.DataFrame(
    [
      {
        "pruner": "gmp" if level else "dense",
        "sparsity": level,
        "quantization": "none",
        "seed": seed,
      }
      for seed in seeds
      for level in SPARSITIES
    ]
  )


def fill(run, rng, labels, truth=None):
  """Stores logits that are the worse the sparser, and lists exemplars."""
  for index, member in run.members().iterrows():
    found = {}
    for name, label in labels.items():
      signal = truth if truth is not None else 2.0 * label - 1
      blur = 0.7 + 2 * member["sparsity"] ** 4
      found[name] = signal + blur * rng.normal(size=signal.shape)
    run.write_member(index, found)
  write_exemplars(run)


def write_exemplars(run, queue=60):
  """Writes analysis/ with an exemplars.csv, by slow and direct rules."""
  parts = []
  for split in ("valid", "test"):
    data = run.split(split)
    logits = data["logits"].to_numpy()
    ids = data["example"].to_numpy()
    if run.task == "multiclass":
      names, answers = ["(all)"], np.argmax(logits, axis=2)[..., None]
      count = logits.shape[2]
    else:
      names, answers, count = data["attribute"].to_numpy(), logits > 0, 2
    keys = [
      (str(p), float(s))
      for p, s in zip(
        data["pruner"].values, data["sparsity"].values, strict=True
      )
    ]
    votes = {
      key: np.stack(
        [
          (answers[[k == key for k in keys]] == one).mean(axis=0)
          for one in range(count)
        ]
      )
      for key in dict.fromkeys(keys)
    }
    dense = votes[("dense", 0.0)]
    modal = {key: np.argmax(one, axis=0) for key, one in votes.items()}
    levels = [key for key in votes if key[0] != "dense"]
    flips = np.array([modal[key] != modal["dense", 0.0] for key in levels])
    lasting = np.flip(np.logical_and.accumulate(np.flip(flips, 0), 0), 0)
    onset = np.where(
      lasting.any(0),
      np.array([key[1] for key in levels])[lasting.argmax(0)],
      np.nan,
    )
    for key in levels:
      taxicab = np.abs(votes[key] - dense).sum(axis=0)
      for place, name in enumerate(names):
        order = np.argsort(-taxicab[:, place], kind="stable")
        rank = np.empty(len(ids), int)
        rank[order] = np.arange(1, len(ids) + 1)
        is_cie = modal[key][:, place] != modal["dense", 0.0][:, place]
        listed = is_cie | ((rank <= queue) & (taxicab[:, place] > 0))
        others = np.flatnonzero(~listed)
        control = np.zeros(len(ids), bool)
        control[others[: max(1, len(ids) // 6)]] = True
        rows = np.flatnonzero(listed | control)
        parts.append(
          pd.DataFrame(
            {
              "pruner": key[0],
              "sparsity": key[1],
              "quantization": "none",
              "checkpoint": "last",
              "split": split,
              "example_id": ids[rows],
              "attribute": name,
              "dense_share": dense[1][rows, place],
              "compressed_share": votes[key][1][rows, place],
              "modal_dense": modal["dense", 0.0][rows, place],
              "modal_compressed": modal[key][rows, place],
              "is_cie": is_cie[rows],
              "taxicab": taxicab[rows, place],
              "excess": taxicab[rows, place] - taxicab[:, place].mean(),
              "onset": onset[rows, place],
              "rank": rank[rows],
              "control": control[rows],
              "reason": "",
            }
          )
        )
  folder = run.path / "analysis"
  folder.mkdir(exist_ok=True)
  table = pd.concat(parts)
  table.to_csv(folder / "exemplars.csv", index=False, na_rep="NaN")
  (folder / "notes.json").write_text("[]\n")
