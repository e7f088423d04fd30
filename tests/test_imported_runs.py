"""What everything else makes of a run that was imported."""

import dataclasses
import json
import logging
import shutil
import subprocess
import sys

from foreign import archive, saved
import numpy as np
import pytest

import prunebias_jax
from prunebias_jax import analysis, cli, store
from prunebias_jax.errors import InputError
from prunebias_jax.importing import import_archive
from prunebias_jax.merge import merge
from prunebias_jax.quantization import Scheme, quantize
from prunebias_jax.training.evaluate import evaluate
from prunebias_jax.training.export import export_member
from prunebias_jax.training.sweep import train

NAMES = np.array(["Male", "Young", "Smiling"])


@pytest.fixture(autouse=True)
def _own_levels():
  yield
  logging.getLogger("prunebias_jax").setLevel(logging.NOTSET)


def imported(folder, name="theirs", *, skip_bad=False, **changes):
  """A run of seven seeds, with changed arrays; None leaves one out."""
  arrays = {**archive(members=14), "attribute_names": NAMES, **changes}
  arrays = {key: one for key, one in arrays.items() if one is not None}
  file = saved(folder / f"{name}.npz", arrays)
  return import_archive(file, folder / name, skip_bad=skip_bad)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  return imported(tmp_path_factory.mktemp("runs"))


BARE = {
  "valid_logits": None,
  "valid_labels": None,
  "train_labels": None,
  "paired": np.array(False),
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
  return imported(tmp_path_factory.mktemp("runs"), "bare", **BARE)


def out_of(capsys, *arguments):
  assert cli.main([str(one) for one in arguments]) == 0
  return capsys.readouterr().out


def test_inspect_analyze_and_report(whole, capsys):
  out = out_of(capsys, "inspect", whole.path)
  assert "imported    from theirs.npz (SHA-256 " in out
  assert "dense and compressed members of equal seed are paired" in out
  assert "14 of 14 done" in out
  assert "costs" not in out
  out = out_of(capsys, "analyze", whole.path)
  assert "calibrated thresholds are not available" not in out
  out_of(capsys, "report", whole.path, "--formats", "svg")
  page = (whole.path / "report.html").read_text()
  assert "imported from theirs.npz" in page
  assert "after the last epoch" not in page
  assert "joins the members of a seed" in page
  assert "SHA-256 of theirs.npz" in page
  assert "Device" not in page
  found = whole.analysis()
  assert found.tables["contrasts"]["n_seeds"].max() == 7
  assert found.arrays.sizes["threshold_rule"] == 2


def test_the_least_that_can_be_imported(bare, capsys):
  out = out_of(capsys, "inspect", bare.path)
  assert "examples    30 test" in out
  assert "nothing is paired" in out
  out = out_of(capsys, "analyze", bare.path)
  for note in (
    "There are no train labels: TCB and bias amplification",
    "There are no validation logits: calibrated thresholds are not available.",
    "Seeds of different populations have nothing to do with each other",
  ):
    assert note in out
  out_of(capsys, "report", bare.path, "--formats", "svg")
  page = (bare.path / "report.html").read_text()
  assert "no pruned member pairs with a dense one" in page
  assert "joins the members of a seed" not in page
  table = bare.analysis().tables["attributes"]
  assert table["threshold_rule"].unique().tolist() == ["default"]
  assert table["tcb"].isna().all()
  assert table["accuracy"].notna().all()


def analysed(run):
  return analysis.analyze({name: run.split(name) for name in run.splits})


def test_the_numbers_do_not_depend_on_the_precision(tmp_path):
  """Values that float16 has exactly, stored in the least and the most."""
  exact = {
    key: np.round(4 * archive(members=14)[key]) / 4
    for key in ("test_logits", "valid_logits")
  }
  half, double = (
    analysed(
      imported(
        tmp_path,
        dtype,
        **{key: one.astype(dtype) for key, one in exact.items()},
      )
    )
    for dtype in ("float16", "float64")
  )
  for name, table in half.tables.items():
    assert table.equals(double.tables[name]), name


def test_members_pair_by_their_parents(tmp_path):
  """The pruned member of seed s was made of the dense one of seed 6 - s."""
  seeds = np.repeat(np.arange(7), 2)
  parents = np.where(np.arange(14) % 2, 6 - seeds, -1)
  found = analysed(imported(tmp_path, parent_seed=parents)).tables
  of = {"attribute": "Smiling", "threshold_rule": "default"}
  table, contrasts = (
    found[name].loc[
      np.all([found[name][key] == one for key, one in of.items()], axis=0)
    ]
    for name in ("attributes", "contrasts")
  )
  auc = table.set_index(["pruner", "seed"])["auc"]
  differences = [auc["gmp", s] - auc["dense", 6 - s] for s in range(7)]
  row = contrasts[contrasts["metric"] == "auc"].squeeze()
  assert row["difference"] == pytest.approx(np.mean(differences), abs=1e-12)
  assert row["sd_difference"] == pytest.approx(
    np.std(differences, ddof=1), abs=1e-12
  )
  assert row["n_seeds"] == 7


def test_members_that_were_left_out_are_counted(tmp_path, capsys):
  arrays = archive(members=14)
  arrays["test_logits"][3, 0, 0] = np.inf
  run = imported(tmp_path, skip_bad=True, test_logits=arrays["test_logits"])
  out = out_of(capsys, "analyze", run.path)
  assert "1 of 14 members are left out" in out
  assert "gmp, sparsity 0.9, seed 1." in out
  assert run.analysis().arrays.sizes["member"] == 13


def test_analyze_leaves_out_bad_members_if_asked(tmp_path, whole, capsys):
  """Logits that became infinite after they were imported."""
  path = tmp_path / "run"
  shutil.copytree(whole.path, path)
  run = store.open_run(path)
  logits = {one: run.logits_of(5, one) for one in ("valid", "test")}
  logits["valid"][0, 0] = np.nan
  run.write_member(5, logits)
  assert cli.main(["analyze", str(path)]) == cli.BAD_INPUT
  error = capsys.readouterr().err
  assert "not finite cannot be analysed: gmp, sparsity 0.9, seed 2" in error
  assert error.count("\n") == 1
  out = out_of(capsys, "analyze", path, "--skip-bad")
  assert "1 of 14 members are left out" in out
  found = run.analysis()
  assert found.arrays.sizes["member"] == 13
  assert found.tables["contrasts"]["n_seeds"].max() == 6
  out_of(capsys, "report", path, "--formats", "svg")
  page = (path / "report.html").read_text()
  assert "Left out of every number" in page
  assert "older than the run" not in page
  # The others' numbers are those that they have in the whole run.
  key = ["pruner", "seed", "threshold_rule", "attribute"]
  one, two = (
    found.tables["attributes"].set_index(key)
    for found in (run.analysis(), analysed(whole))
  )
  assert one.equals(two.loc[one.index])


def test_none_is_left(make_bad):
  with pytest.raises(InputError, match="cannot be analysed: dense, sparsity 0"):
    analysis.analyze(make_bad(), options=analysis.Options(skip_bad=True))


@pytest.fixture
def make_bad(whole):
  def make():
    splits = {name: whole.split(name) for name in whole.splits}
    bad = splits["test"]["logits"].copy(data=np.full((14, 30, 3), np.nan))
    return {**splits, "test": splits["test"].assign(logits=bad)}

  return make


@pytest.mark.parametrize(
  "use",
  [
    lambda run: run.sweep(),
    lambda run: evaluate(run, ["test:noise:3"]),
    lambda run: quantize(run.path, Scheme.make("float16", None, None)),
    lambda run: export_member(
      run, seed=1, sparsity=0.9, output=run.path / "exported"
    ),
    lambda run: train(prunebias_jax.Sweep(), run.path),
  ],
  ids=["sweep", "evaluate", "quantize", "export", "train"],
)
def test_what_needs_parameters_is_refused(whole, use):
  before = (whole.path / store.SWEEP).read_bytes()
  with pytest.raises(InputError, match="was imported: it has logits") as caught:
    use(whole)
  assert "\n" not in str(caught.value)
  assert (whole.path / store.SWEEP).read_bytes() == before
  assert not (whole.path / "exported").exists()


def test_there_is_no_config_to_repeat(whole, tmp_path, capsys):
  arguments = ["train", f"{whole.path}/sweep.json", "--workdir", tmp_path / "x"]
  assert cli.main([str(one) for one in arguments]) == cli.BAD_INPUT
  assert "it holds no config to repeat" in capsys.readouterr().err


def halves(tmp_path, **changes):
  """The same data with other seeds, as two runs."""
  arrays = archive(members=14)
  parts = []
  for name, rows in (("a", slice(0, 6)), ("b", slice(6, 14))):
    keys = ("pruner", "sparsity", "seed", "valid_logits", "test_logits")
    part = {key: arrays[key][rows] for key in keys}
    more = changes if name == "b" else {}
    parts.append(imported(tmp_path, name, **part, **more))
  return parts


def test_merging(tmp_path, whole):
  parts = halves(tmp_path)
  merged = merge([one.path for one in parts], tmp_path / "both")
  merged.verify()
  assert [one["name"] for one in merged.imported["files"]] == ["a.npz", "b.npz"]
  for split in ("valid", "test"):
    np.testing.assert_array_equal(
      merged.split(split)["logits"], whole.split(split)["logits"]
    )
  assert merged.members().equals(whole.members())


def test_merging_runs_without_validation(tmp_path):
  bare = {"valid_logits": None, "valid_labels": None}
  arrays = archive(members=14)
  paths = []
  for name, rows in (("a", slice(0, 6)), ("b", slice(6, 14))):
    part = {
      key: arrays[key][rows]
      for key in ("pruner", "sparsity", "seed", "test_logits")
    }
    paths.append(imported(tmp_path, name, **part, **bare).path)
  merged = merge(paths, tmp_path / "both")
  merged.verify()
  assert merged.split("test").sizes["member"] == 14


def test_runs_that_do_not_belong_together(tmp_path, whole):
  labels = archive()["test_labels"]
  first, other = halves(tmp_path, test_labels=1 - labels)
  with pytest.raises(InputError, match="has other data than"):
    merge([first.path, other.path], tmp_path / "both")
  with pytest.raises(InputError, match="is in another of the runs too"):
    merge([first.path, whole.path], tmp_path / "both")
  changed = tmp_path / "trained"
  shutil.copytree(whole.path, changed)
  facts = json.loads((changed / store.SWEEP).read_text())
  facts["sweep"] = prunebias_jax.Sweep().to_dict()
  del facts["imported"]
  (changed / store.SWEEP).write_text(json.dumps(facts))
  with pytest.raises(InputError, match="one was imported, the other trained"):
    merge([first.path, changed], tmp_path / "both")
  assert not (tmp_path / "both").exists()


def test_runs_that_pair_otherwise_are_not_merged(tmp_path):
  first, other = halves(tmp_path, paired=np.array(False))
  with pytest.raises(
    InputError, match=r"otherwise than .* pairing none and se"
  ):
    merge([first.path, other.path], tmp_path / "both")


def test_a_notebook_shows_what_there_is(whole, bare):
  html = whole._repr_html_()
  for text in ("theirs.npz", "50 train, 24 valid, 30 test", "gmp", "Male"):
    assert text in html
  assert "30 test" in bare._repr_html_()
  html = analysed(bare)._repr_html_()
  assert "14 members" in html
  assert "bias_amplification" in html
  assert "<li>There are no train labels" in html


def test_a_notebook_escapes_names(tmp_path):
  hostile = np.array(["<script>x</script>", "b & c", "d"])
  run = imported(
    tmp_path,
    attribute_names=hostile,
    pruner=np.array(["dense", "<b>gmp</b>"] * 7),
  )
  for html in (run._repr_html_(), analysed(run)._repr_html_()):
    assert "<script>" not in html
    assert "<b>gmp" not in html
  changed = dataclasses.replace(run, facts={**run.facts, "name": "<i>"})
  assert "&lt;i&gt;" in changed._repr_html_()


def test_an_analysis_that_is_not_there(tmp_path):
  with pytest.raises(InputError, match="has not been analysed; run `prunebias"):
    imported(tmp_path).analysis()


def test_reading_a_run_needs_no_jax(whole):
  code = f"""
import sys
import prunebias_jax
assert "xarray" not in sys.modules
run = prunebias_jax.open_run({str(whole.path)!r})
assert run.split("test").sizes["member"] == 14
assert prunebias_jax.analysis.auc
assert run._repr_html_()
assert "jax" not in sys.modules
assert {{"Run", "Sweep", "analysis"}} <= {{*dir(prunebias_jax)}}
"""
  subprocess.run([sys.executable, "-c", code], check=True)
  with pytest.raises(AttributeError, match="no attribute 'nothing'"):
    prunebias_jax.nothing  # noqa: B018
