"""The comparison of detectors as a command, on a handful of images: its table, and that nothing is done twice."""

import json
import math
import shutil
import signal

import numpy as np
import pytest

from ltr.actors.detection import DetectionActor
from ltr.commands import compare_detection as command
from ltr.common.errors import UserError
from ltr.dataset.generated.detection_set import generated_detection, write_generated_detection
from ltr.evaluation.detection import comparison
from ltr.train_settings import detection as common
from ltr.trainers.trainer import Trainer
from tests.helpers.executors import make_here, make_one_by_one


@pytest.fixture(scope="module")
def trained(module_folder):
    """A workspace with a base."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        assert run(module_folder, "--systems", "direct") == 0
    return module_folder


@pytest.fixture
def tiny(tmp_path, monkeypatch, trained):
    """A copy of it, in which the next runs are small."""
    make_small(monkeypatch)
    return shutil.copytree(trained, tmp_path / "workspace")


def make_small(monkeypatch):
    """Eight training images, four others, one step of each training."""
    make_here(monkeypatch, command)
    monkeypatch.setattr(comparison, "_TUNING_IMAGES", 2)
    original = comparison.small

    def small(name, seed):
        settings = original(name, seed)
        settings.epochs = settings.val_every = 1
        settings.data.val_images = 1
        # a detector that has seen one batch is sure of nothing, and few of its boxes are anywhere near an object
        settings.detector.base.min_size, settings.detector.base.max_size = 96, 128
        return settings

    def generated(workspace):
        write_generated_detection(workspace / "generated_detection", train=8, val=4)
        return workspace / "generated_detection"

    monkeypatch.setattr(comparison, "small", small)
    monkeypatch.setattr(common, generated_detection.__name__, generated)
    monkeypatch.setattr(
        comparison, "measure_detections", lambda detector, images, tried: (1.0, -abs(np.arange(len(tried)) - 2.0))
    )


def run(workspace, *arguments):
    return command.main(["--workspace", str(workspace), "--samples", "8", "--device", "cpu", *arguments])


def test_a_table_with_its_files_and_nothing_done_twice(tiny, capsys, monkeypatch):
    assert run(tiny, "--systems", "direct", "laplace", "ebm") == 0
    printed = capsys.readouterr().out
    out = tiny / "detection_comparison"
    assert (out / "table_systems.txt").read_text() in printed
    for name in ("Faster-RCNN", "Laplace", "Ours (EBM)", "AP75", "images/s", "Step-lengths"):
        assert name in printed
    table = json.loads((out / "table_systems.json").read_text())
    assert table["runs"].keys() == {"direct_0", "laplace_0", "ebm_0", "ebm_0 unrefined"}
    assert all(math.isfinite(run["metrics"]["ap"]) for run in table["runs"].values())
    assert r"\begin{tabular}" in (out / "table_systems.tex").read_text()
    assert (out / "contact_sheet_ebm.png").stat().st_size > 0

    def fail(*args, **kwargs):
        raise AssertionError("this is done already")

    monkeypatch.setattr(Trainer, "train", fail)
    monkeypatch.setattr(comparison, "measure_detections", fail)
    monkeypatch.setattr(comparison.Detector, "detect", fail)
    assert run(tiny, "--systems", "direct", "laplace", "ebm") == 0
    assert (out / "table_systems.txt").read_text() in printed  # speeds too, which are kept with the detections


def interrupted_evaluation(evaluate):
    def interrupted(detector, *args):
        if detector.system == "laplace":
            raise KeyboardInterrupt
        return evaluate(detector, *args)

    return interrupted


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tiny, capsys, monkeypatch):
    forward = DetectionActor.forward

    def interrupted(self, batch):
        if self.detector.system == "laplace":
            signal.raise_signal(signal.SIGINT)  # to the training
            signal.raise_signal(signal.SIGINT)  # to the command
        return forward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DetectionActor, "forward", interrupted)
        make_one_by_one(patch, command)
        assert run(tiny, "--systems", "direct", "laplace") == 130
    printed = capsys.readouterr().out
    assert "direct_0: already trained" in printed and "laplace_0: stopped" in printed
    assert "Laplace" not in printed and "the same command continues" in printed
    with monkeypatch.context() as patch:  # between the training of one system and its row
        patch.setattr(comparison, "evaluate_detector", interrupted_evaluation(comparison.evaluate_detector))
        assert run(tiny, "--systems", "direct", "laplace") == 130
    printed = capsys.readouterr().out
    assert "direct_0: already trained" in printed and "laplace_0: trained" in printed
    assert "Faster-RCNN" in printed and "Laplace" not in printed and "the same command continues" in printed
    assert run(tiny, "--systems", "direct", "laplace") == 0
    printed = capsys.readouterr().out
    assert ": trained" not in printed and "Laplace" in printed


def test_table_s1_has_the_papers_rows_and_shares_the_run_of_its_own_proposal(tiny, capsys):
    assert len(command.TABLE_S1) == 18
    old = tiny / "detection_comparison" / "contact_sheet_ebm.png"  # of the other table
    old.write_text("")
    assert run(tiny, "--table", "s1", "--sigmas", ".01875", ".0375,.075,.15") == 0
    printed = capsys.readouterr().out
    assert "table_s1.txt" in printed and old.name not in printed
    assert "L = 1  {0.01875}" in printed and "38.07" in printed and "39.11" in printed
    runs = {folder.name for folder in (tiny / "checkpoints" / "ltr" / "detection_small").iterdir()}
    assert runs == {"direct_0", "ebm_0.01875_0", "ebm_0"}


def test_rows_of_ones_own_and_of_the_paper(tiny, capsys):
    assert run(tiny, "--table", "s1", "--sigmas", ".3", "0.0375,.075,.15") == 0
    rows = [line.split("}")[1].split() for line in capsys.readouterr().out.splitlines() if line.startswith("L = ")]
    assert [row[2:] for row in rows] == [["1", "-"], ["1", "39.11"]]
    runs = {folder.name for folder in (tiny / "checkpoints" / "ltr" / "detection_small").iterdir()}
    assert runs == {"direct_0", "ebm_0.3_0", "ebm_0"}


def test_losses_share_the_run_of_the_paper_s_own(tiny, capsys):
    assert run(tiny, "--table", "losses", "--losses", "nll", "mcmc", "dsm", "nce_plus") == 0
    printed = capsys.readouterr().out
    assert (tiny / "detection_comparison" / "table_losses.txt").read_text() in printed
    for name in ("ML-IS (Eq. 4), unrefined", "ML-MCMC", "DSM", "NCE+"):
        assert f"\n{name}  " in printed
    runs = {folder.name for folder in (tiny / "checkpoints" / "ltr" / "detection_small").iterdir()}
    assert runs == {"direct_0", "ebm_0", "ebm_mcmc_0", "ebm_dsm_0", "ebm_nce_plus_0"}


@pytest.mark.parametrize("sigmas", ["0", "-.1,.2", "wide", "nan", ".1,", ""])
def test_widths_that_are_none_are_refused(tiny, sigmas, capsys):
    with pytest.raises(SystemExit):
        run(tiny, "--table", "s1", f"--sigmas={sigmas}")
    assert f"argument --sigmas: {sigmas!r} is no row" in capsys.readouterr().err


def test_runs_of_other_settings_are_not_mixed(tiny):
    with pytest.raises(UserError, match="direct_0 was trained with samples_per_epoch 8, and 16 is asked for"):
        command.main.__wrapped__(["--workspace", str(tiny), "--samples", "16", "--systems", "direct"])
    with pytest.raises(UserError, match="direct_0 was trained with samples_per_epoch 8, and 16 is asked for"):
        command.main.__wrapped__(["--workspace", str(tiny), "--samples", "16", "--systems", "laplace"])


def test_numbers_that_make_no_sense_are_refused(tiny):
    with pytest.raises(UserError, match="--seeds must be at least 1"):
        command.main.__wrapped__(["--workspace", str(tiny), "--seeds", "0"])
