"""Pictures to pixels, in this process and in others."""

import io

import numpy as np
from PIL import Image
import pytest

from prunebias_jax.data import decoder, pictures
from prunebias_jax.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 20, 3), np.uint8)


def encoded(picture, format="PNG", **options):
  buffer = io.BytesIO()
  picture.save(buffer, format, **options)
  return io.BytesIO(buffer.getvalue())


def test_the_middle_is_kept_at_its_own_size():
  found = decoder.decode(encoded(Image.fromarray(PIXELS)), 12, 3)
  np.testing.assert_array_equal(found, PIXELS[:, 4:16])


def test_scaling_averages_over_what_it_leaves_out():
  """A gradient stays the gradient, in both directions."""
  ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8), (60, 60))
  found = decoder.decode(encoded(Image.fromarray(ramp)), 15, 1)[..., 0]
  inner = ramp.reshape(60, 15, 4).mean(-1)[:15, 1:-1]
  np.testing.assert_allclose(found[:, 1:-1], inner, atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_gray_and_palette_pictures_become_colours(mode):
  picture = Image.fromarray(PIXELS).convert(mode)
  found = decoder.decode(encoded(picture), 12, 3)
  expected = np.asarray(picture.convert("RGB"))[:, 4:16]
  np.testing.assert_array_equal(found, expected)
  if mode in ("1", "L", "LA"):
    assert (found == found[..., :1]).all()


def test_a_photograph_is_turned_as_it_says():
  picture = Image.fromarray(PIXELS[:, :12])
  exif = Image.Exif()
  exif[0x0112] = 6  # the camera was turned to the left
  found = decoder.decode(encoded(picture, exif=exif), 12, 3)
  np.testing.assert_array_equal(found, np.rot90(PIXELS[:, :12], -1))


def test_sixteen_bits_are_refused():
  deep = Image.fromarray(np.full((9, 9), 1000, np.uint16))
  with pytest.raises(ValueError, match="mode I;16; accepted: 8 bits"):
    decoder.decode(encoded(deep), 9, 1)


def make_files(folder, count):
  paths = [folder / f"{number}.png" for number in range(count)]
  for number, path in enumerate(paths):
    Image.new("RGB", (9, 9), (number, 0, 255 - number)).save(path)
  return list(map(str, paths))


@pytest.mark.parametrize("few", [1, 100])
def test_every_picture_is_at_its_place(few, tmp_path, monkeypatch):
  """Decoded here, or by one process for each core."""
  monkeypatch.setattr(pictures, "FEW", few)
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "cache"))
  paths = make_files(tmp_path, 7)
  found = pictures.cached_pictures("x", {}, paths, size=8)
  assert found.shape == (7, 8, 8, 3)
  assert isinstance(found, np.memmap)
  np.testing.assert_array_equal(found[:, 0, 0, 0], range(7))
  np.testing.assert_array_equal(found[:, 7, 7, 2], 255 - np.arange(7))


@pytest.mark.parametrize("few", [1, 100])
@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (lambda path: path.write_text("id,path"), "cannot identify image file"),
    (lambda path: path.write_bytes(b""), "cannot identify image file"),
    (lambda path: path.write_bytes(path.read_bytes()[:48]), "truncated"),
    (lambda path: path.unlink(), "No such file"),
  ],
)
def test_what_is_no_picture_is_named(
  few, damage, message, tmp_path, monkeypatch
):
  monkeypatch.setattr(pictures, "FEW", few)
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "cache"))
  paths = make_files(tmp_path, 5)
  for number in (3, 4):
    damage(tmp_path / f"{number}.png")
  with pytest.raises(InputError, match=rf"3\.png is no .*{message}.*2 such"):
    pictures.cached_pictures("x", {}, paths, size=8)
  assert not list((tmp_path / "cache").iterdir())


def test_size_is_part_of_the_key(tmp_path):
  paths = make_files(tmp_path, 2)
  for size in (8, 9):
    found = pictures.cached_pictures("sizes", {}, paths, size=size)
    assert found.shape == (2, size, size, 3)
