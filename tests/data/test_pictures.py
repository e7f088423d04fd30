"""Pictures to pixels, in this process and in others."""

import io
from types import SimpleNamespace

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


@pytest.mark.parametrize("few", [1, 100])
def test_pictures_keep_a_size_of_their_own(few, tmp_path, monkeypatch):
  monkeypatch.setattr(pictures, "FEW", few)
  paths = [str(tmp_path / f"{number}.png") for number in range(4)]
  for number, path in enumerate(paths):
    Image.fromarray(PIXELS + np.uint8(number)).save(path)
  found = pictures.cached_pictures("own", {"few": few}, paths, size=None)
  assert isinstance(found, np.memmap)
  expected = [PIXELS + np.uint8(number) for number in range(4)]
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ("number", "message"),
  [
    (2, r"2\.png is 9 x 8 pixels and the first picture 9 x 9; accepted with"),
    (0, r"1\.png is 9 x 9 pixels and the first picture 9 x 8; .* \(3 such"),
  ],
)
def test_pictures_of_several_sizes_are_refused(
  number, message, tmp_path, monkeypatch
):
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "cache"))
  paths = make_files(tmp_path, 4)
  Image.new("RGB", (9, 8)).save(paths[number])
  with pytest.raises(InputError, match=message):
    pictures.cached_pictures("x", {}, paths, size=None)
  assert not list((tmp_path / "cache").iterdir())


def test_a_first_picture_that_is_none_is_named(tmp_path):
  paths = make_files(tmp_path, 2)
  (tmp_path / "0.png").write_text("no")
  with pytest.raises(InputError, match=r"0\.png is no picture that can be"):
    pictures.cached_pictures("x", {}, paths, size=None)


def test_a_disk_without_room_is_not_filled(tmp_path, monkeypatch):
  monkeypatch.setenv("PRUNEBIAS_CACHE", str(tmp_path / "cache"))
  paths = make_files(tmp_path, 2) * 1_000_000
  monkeypatch.setattr(
    pictures.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9)
  )
  with pytest.raises(InputError, match=r"1\.0 GB free .* need 1\.5; PRUNEBIAS"):
    pictures.cached_pictures("x", {}, paths, size=16)
  assert not list((tmp_path / "cache").iterdir())
