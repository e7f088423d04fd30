"""Logits of somebody else: archives and folders of text files, made up."""

from pathlib import Path

import numpy as np

SIZES = {"train": 50, "valid": 24, "test": 30}


def archive(*, members=4, outputs=3, classes=False, dtype="float32", seed=0):
  """Arrays of an .npz file by key: a dense and a pruned member a seed."""
  rng = np.random.default_rng(seed)
  found = {
    "pruner": np.array(["dense", "gmp"] * (members // 2)),
    "sparsity": np.array([0.0, 0.9] * (members // 2)),
    "seed": np.repeat(np.arange(members // 2), 2),
  }
  for split, count in SIZES.items():
    truth = rng.normal(size=(count, outputs))
    labels = truth.argmax(1) if classes else (truth > 0).astype(int)
    found[f"{split}_labels"] = labels
    if split != "train":
      noise = rng.normal(size=(members, count, outputs))
      found[f"{split}_logits"] = (truth + noise).astype(dtype)
  return found


def saved(path, arrays):
  """The arrays in an .npz file; returns its path."""
  np.savez(path, **arrays)
  return Path(path)


NAMES = ("Male", "Smiling", "Young", "Round")


def lists(folder, sizes=(40, 20, 30), names=NAMES):
  """CelebA's two lists of made-up images; returns labels by split.

  The partition's order is not that of the attributes.
  """
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(3)
  total = sum(sizes)
  ids = np.array([f"{number:06d}.jpg" for number in range(1, total + 1)])
  labels = rng.integers(0, 2, (total, len(names)))
  rows = [
    f"{one}  " + " ".join(f"{2 * value - 1:2d}" for value in row)
    for one, row in zip(ids, labels, strict=True)
  ]
  text = "\n".join([str(total), " ".join(names) + " ", *rows]) + "\n"
  (folder / "list_attr_celeba.txt").write_text(text)
  order = rng.permutation(total)
  split = np.repeat([0, 1, 2], sizes)
  pairs = [f"{ids[i]} {s}" for i, s in zip(order, split, strict=True)]
  (folder / "list_eval_partition.txt").write_text("\n".join(pairs) + "\n")
  return {
    name: (ids[order[split == value]], labels[order[split == value]])
    for value, name in enumerate(("train", "valid", "test"))
  }


def outputs(directory, *, valid=20, test=30, width=4, seed=0):
  """A member's text files; returns the numbers by split."""
  directory.mkdir(parents=True)
  rng = np.random.default_rng([seed, len(str(directory))])
  found = {}
  for split, count in (("valid", valid), ("test", test)):
    if count:
      values = np.round(rng.normal(size=(count, width)), 6)
      name = f"{split}_outputs_epoch_99.txt"
      np.savetxt(directory / name, values, fmt="%.6f")
      found[split] = values
  return found
