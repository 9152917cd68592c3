"""The toy's table: runs that differ in their seed alone share a row, and what cannot be scored is said."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ltr.commands.evaluate import main
from ltr.common.plain import to_plain
from ltr.dataset.toy import TOY_DENSITIES
from ltr.evaluation.tables import Mean
from ltr.evaluation.toy import command
from ltr.evaluation.toy.divergence import kl_divergence, model_log_density, true_log_density
from ltr.models.regression.toy import ToyEnergyNet, ToyGaussianNet
from ltr.train_settings.registry import load_settings
from tests.helpers.warm_python import warm_python

CELLS = 32
SCRIPT = Path(__file__).resolve().parents[4] / "ltr" / "run_evaluation.py"


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(command, "model_log_density", lambda net: model_log_density(net, CELLS))
    monkeypatch.setattr(command, "true_log_density", lambda density: true_log_density(density, CELLS))


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two Gaussians that differ in their seed, one of fewer epochs, an EBM of another set; and one not finished."""
    folder = tmp_path / "checkpoints" / "ltr" / "toy"
    for system, run, changes in (
        ("gaussian", "a", {"seed": 0}),
        ("gaussian", "b", {"seed": 1}),
        ("gaussian", "c", {"seed": 0, "epochs": 3}),
        ("ebm", "d", {"seed": 2, "data": "2"}),
    ):
        settings = load_settings("toy", system).settings()
        for name, value in changes.items():
            setattr(settings, name, value)
        net = ToyGaussianNet() if system == "gaussian" else ToyEnergyNet()
        (folder / run).mkdir(parents=True)
        notes = {"settings": json.dumps(to_plain(settings))}
        save_file(net.state_dict(), folder / run / f"{system}_final.safetensors", notes)
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "last.pth").write_bytes(b"")
    return folder


def divergence(file: Path, net: torch.nn.Module, data: str = "1") -> float:
    net.load_state_dict(load_file(file))
    return kl_divergence(true_log_density(TOY_DENSITIES[data], CELLS), model_log_density(net, CELLS)).all


def test_table_of_what_was_trained(runs, tmp_path, capsys):
    assert main(["toy", "--workspace", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines() if line.startswith("set ")}
    assert list(rows) == ["set 1: Gaussian", "set 1: Gaussian, epochs 3", "set 2: Energy-based"]
    assert [row[-1] for row in rows.values()] == ["2", "1", "1"]
    a, b, c = (divergence(runs / run / "gaussian_final.safetensors", ToyGaussianNet()) for run in "abc")
    mean = Mean.of([a, b])
    assert rows["set 1: Gaussian"][3:6] == [f"{mean.value:.4f}", "±", f"{mean.error:.4f}"]
    assert rows["set 1: Gaussian, epochs 3"][5] == f"{c:.4f}"
    energy = divergence(runs / "d" / "ebm_final.safetensors", ToyEnergyNet(), "2")
    assert rows["set 2: Energy-based"][3] == f"{energy:.4f}"
    assert "skipped: " in out and "unfinished is not finished" in out
    results = json.loads((tmp_path / "evaluation" / "toy" / "kl.json").read_text())["results"]
    assert [(r["run"], r["seed"]) for r in results] == [("a", 0), ("b", 1), ("c", 0), ("d", 2)]
    assert (tmp_path / "evaluation" / "toy" / "kl.txt").read_text() in out
    assert rf"{mean.value:.4f} \pm {mean.error:.4f}" in (tmp_path / "evaluation" / "toy" / "kl.tex").read_text()


def test_the_script_runs_from_anywhere(tmp_path):
    done = warm_python(SCRIPT, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "toy: densities in one dimension" in done.stdout, done.stderr


def test_damaged_runs_are_named_and_the_others_serve(runs, tmp_path, capsys):
    file = runs / "a" / "gaussian_final.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    shutil.copy(runs / "b" / "gaussian_final.safetensors", runs / "d" / "ebm_final.safetensors")
    assert main(["toy", "--runs", str(runs), "--workspace", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "Energy-based" not in out and out.count("skipped: ") == 3 and str(file) in out
    assert (tmp_path / "out" / "kl.tex").is_file()


def test_without_runs_the_way_out_is_named(tmp_path, capsys):
    for prepare in (lambda: None, lambda: (tmp_path / "checkpoints" / "ltr" / "toy").mkdir(parents=True)):
        prepare()
        with pytest.raises(SystemExit) as caught:
            main(["toy", "--workspace", str(tmp_path)])
        assert caught.value.code == 2 and "ebm-train toy ebm" in capsys.readouterr().err
