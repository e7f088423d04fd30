"""Made-up files in the format of CelebA's official ones."""

import hashlib
import io
from pathlib import Path
import zipfile

import numpy as np
from PIL import Image

from prunebias_jax.data.faces.attributes import NAMES

LANDMARKS = (
  "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y "
  "leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
)


def picture(number):
  """A smooth face-sized picture whose middle tells its number."""
  rng = np.random.default_rng(number)
  coarse = rng.integers(0, 256, (7, 6, 3), np.uint8)
  image = Image.fromarray(coarse).resize((178, 218), Image.Resampling.BICUBIC)
  image.paste((number % 256, 128, 64), (49, 69, 129, 149))
  return image


def attributes_of(number):
  """The 40 labels [attribute] in {0, 1} of a file."""
  return np.random.default_rng([number, 1]).integers(0, 2, len(NAMES))


def make_files(folder, counts):
  """Writes the five files; (bytes, SHA-256) of each by name.

  Args:
    folder: where to.
    counts: how many pictures are for train, valid and test, one after another.
  """
  folder = Path(folder)
  total = sum(counts)
  names = [f"{number:06d}.jpg" for number in range(1, total + 1)]
  with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
    for number, name in enumerate(names, 1):
      buffer = io.BytesIO()
      picture(number).save(buffer, "JPEG", quality=90)
      archive.writestr(f"img_align_celeba/{name}", buffer.getvalue())
  split = np.repeat([0, 1, 2], counts)
  signs = [2 * attributes_of(number) - 1 for number in range(1, total + 1)]
  rows = [" ".join(map(str, row)) for row in signs]
  texts = {
    "list_eval_partition.txt": [
      f"{n} {s}" for n, s in zip(names, split, strict=True)
    ],
    "list_attr_celeba.txt": [
      str(total),
      " ".join(NAMES),
      *(f"{name} {row}" for name, row in zip(names, rows, strict=True)),
    ],
    "list_landmarks_align_celeba.txt": [
      str(total),
      LANDMARKS,
      *(f"{name} " + " ".join(["70"] * 10) for name in names),
    ],
    "identity_CelebA.txt": [f"{n} {i}" for i, n in enumerate(names)],
  }
  for name, lines in texts.items():
    (folder / name).write_text("\n".join(lines) + "\n")
  return {
    path.name: (
      path.stat().st_size,
      hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    for path in folder.iterdir()
  }
