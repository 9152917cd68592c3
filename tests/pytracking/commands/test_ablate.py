"""Table S2 by one command: trainings, tracking and scores in parts, and nothing done twice."""

import json
import re
from dataclasses import replace

import pytest
from torch import nn

from ltr.commands import ablate as ltr_ablate
from ltr.evaluation.trainings import training
from ltr.trainers.export import export_weights
from pytracking.commands import ablate
from pytracking.evaluation.running import TrackerSpec
from pytracking.parameter.atom import ebm_resnet18
from tests.helpers.evaluation_fakes import INTERRUPTED, RAISES, FakeTracker, write_sequence
from tests.helpers.executors import make_here


class FakeTrainer:
    """Writes weights at once; a seed in `interrupted` is stopped by Ctrl-C."""

    trained: list[str] = []
    interrupted: set[str] = set()

    def __init__(self, settings, task, folder, name):
        self.settings, self.folder, self.name, self.stop_signal = settings, folder, name, None

    def train(self, restart=False):
        self.trained.append(self.folder.name)
        if self.folder.name in self.interrupted:
            raise KeyboardInterrupt
        self.folder.mkdir(parents=True, exist_ok=True)
        net = nn.Linear(1, len(self.trained))  # no two trainings have the same weights
        export_weights(self.folder / f"{self.name}_final.safetensors", net, self.settings, self.settings.epochs)
        return True


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command on two sequences of ten frames; the trainings' names are in `run.trained`."""
    write_sequence(tmp_path / "data", "one", 10)
    write_sequence(tmp_path / "data", "two", 10)
    FakeTrainer.trained, FakeTrainer.interrupted = [], set()
    monkeypatch.setattr(training, "Trainer", FakeTrainer)
    load = training.load_settings
    monkeypatch.setattr(training, "load_settings", lambda *n: replace(load(*n), build=lambda settings: None))
    make_here(monkeypatch, ablate)
    monkeypatch.setattr(TrackerSpec, "make", lambda self: FakeTracker())

    def command(*options):
        folders = ["--workspace", tmp_path / "workspace", "--results", tmp_path / "results"]
        return ablate.main(["bbreg", *map(str, folders), "--dataset_name", str(tmp_path / "data"), *options])

    command.trained, command.runs = FakeTrainer.trained, tmp_path / "workspace/checkpoints/ltr/bbreg_sigmas"
    command.data, command.results = tmp_path / "data", tmp_path / "results" / "atom"
    return command


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells by row of the printed table."""
    lines = text[text.index("percent, mean") :].splitlines()[4:]
    rows = [re.split(r"  +", line, maxsplit=1) for line in lines if "  " in line]
    return {name: cells.replace(" ± ", "±").split() for name, cells in rows}


def test_the_table_has_the_papers_rows_and_the_scores_of_both_sequences(run, capsys):
    assert run() == 0
    rows = rows_of(capsys.readouterr().out)
    # the box falls behind by 0.75 pixels a frame: (10 - d) / (10 + d) > 0.5 in five frames of ten, > 0.75 in two
    assert list(rows) == ["{0.05}", "{0.01, 0.1}", "{0.03, 0.3}", "{0.05, 0.5}", "{0.07, 0.7}"]
    assert all(cells[:2] == ["50.00", "20.00"] and cells[3] == "1" for cells in rows.values())
    assert rows["{0.05, 0.5}"][4:] == ["79.90", "48.71", "64.10"]
    table = json.loads((run.runs / "table_data.json").read_text())
    assert len(table["runs"]) == 5 and all(one["OP50"] == pytest.approx(50) for one in table["runs"].values())
    assert "48.71" in (run.runs / "table_data.tex").read_text()
    folder = run.results / "ablation_ebm_resnet18_sigmas0.05-0.5_000"
    made_with = json.loads((folder / "run.json").read_text())["made_with"]
    assert made_with["settings"]["network"].endswith(
        "ablation_ebm_resnet18_sigmas0.05-0.5_0/ebm_resnet18_final.safetensors"
    )
    assert tuple(made_with["settings"]["refinement"]["step"]) == ebm_resnet18.parameters().refinement.step


def test_the_papers_settings_have_no_departure_and_others_are_named(run, capsys):
    assert run("--rows", "0.05,0.5") == 0
    assert "not the paper's" not in capsys.readouterr().out
    assert run("--on", "small", "--rows", "0.05,0.5", "--epochs", "3", "--tracker.refinement.iterations", "7") == 0
    out = capsys.readouterr().out
    assert "Training: not the paper's setting" in out and "epochs 3 (50)" in out
    assert "model.backbone efficientnet_lite0 (resnet18)" in out
    assert "refinement.iterations 7 (10)" in out and "T = 7" in out


def test_nothing_is_done_twice(run, capsys, monkeypatch):
    assert run("--rows", "0.05,0.5", "atom", "--seeds", "2") == 0
    first = rows_of(capsys.readouterr().out)
    assert first["ATOM"][:1] == ["50.00±0.00"] and first["ATOM"][3:] == ["2", "-", "-", "-"]
    assert len(run.trained) == 4
    monkeypatch.setattr(TrackerSpec, "make", lambda self: pytest.fail("tracked twice"))
    assert run("--rows", "0.05,0.5", "atom", "--seeds", "2") == 0
    assert rows_of(capsys.readouterr().out) == first and len(run.trained) == 4


def test_parts_of_the_work(run, capsys):
    assert run("--only", "train", "--rows", "0.05", "0.05,0.5") == 0
    assert len(run.trained) == 2 and not run.results.exists()
    assert run("--only", "track", "--rows", "0.05") == 0
    capsys.readouterr()
    assert run("--only", "table", "--rows", "0.05", "0.05,0.5") == 0
    out = capsys.readouterr().out
    assert rows_of(out)["{0.05, 0.5}"][:4] == ["-", "-", "-", "0"]
    assert "Not finished: {0.05, 0.5}, seed 0, 0 of 2 sequences." in out
    with pytest.raises(SystemExit):
        run("--only", "track", "--rows", "0.07,0.7")
    assert "{0.07, 0.7}, seed 0, is not trained" in capsys.readouterr().err


def test_ctrl_c_in_training_and_in_tracking(run, capsys):
    FakeTrainer.interrupted = {"ablation_ebm_resnet18_sigmas0.05-0.5_0"}
    assert run("--rows", "0.05", "0.05,0.5", "--restart") == 130
    out = capsys.readouterr().out
    assert "stopped; the same command without --restart continues" in out and "tracking" not in out
    FakeTrainer.interrupted = set()
    write_sequence(run.data, "three", 10, height=INTERRUPTED)
    assert run("--rows", "0.05", "0.05,0.5") == 130
    out = capsys.readouterr().out
    assert "Not finished: {0.05}, seed 0, 1 of 3" in out and "stopped; the same command continues" in out
    assert run.trained.count("ablation_ebm_resnet18_sigmas0.05_0") == 1
    write_sequence(run.data, "three", 10)
    assert run("--rows", "0.05", "0.05,0.5") == 0


def test_a_failed_sequence_is_said_and_its_run_is_not_finished(run, capsys):
    write_sequence(run.data, "bad", 10, height=RAISES)
    assert run("--rows", "0.05") == 1
    out, err = capsys.readouterr()
    assert "failed: {0.05}, seed 0, bad" in err and "2 of 3 sequences" in out


def test_results_of_another_network_are_left_out(run, capsys):
    assert run("--rows", "0.05") == 0
    assert run("--rows", "0.05", "--only", "train", "--restart") == 0
    capsys.readouterr()
    assert run("--rows", "0.05", "--only", "table") == 0
    assert "Left out: {0.05}, seed 0, whose results are of another tracker" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("--rows", "0.05")
    assert "--overwrite" in capsys.readouterr().err
    assert run("--rows", "0.05", "--overwrite") == 0
    assert rows_of(capsys.readouterr().out)["{0.05}"][0] == "50.00"


def test_a_training_of_other_settings_is_not_taken(run, capsys):
    assert run("--rows", "0.05", "--batch_size", "2") == 0
    assert run("--rows", "0.05") == 1
    assert "batch_size: 2 there, 64 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rows", "0"], "'0' is no row"),
        (["--rows", "wide"], "'wide' is no row"),
        (["--seed", "3"], "--seed is no choice here"),
        (["--proposals.sigmas", "1", "1"], "use --rows"),
        (["--tracker.network", "x"], "--network is no choice here"),
        (["--tracker.refinement.speed", "3"], "are not valid"),
        (["--dataset_name", "nfss"], "no data set 'nfss'"),
    ],
)
def test_bad_options_are_said_before_any_work(run, options, says, capsys):
    with pytest.raises(SystemExit):
        run(*options)
    assert says in capsys.readouterr().err and not run.trained


def test_the_learning_part_says_where_the_tracker_is(capsys):
    with pytest.raises(SystemExit):
        ltr_ablate.main(["bbreg"])
    assert "pytracking/run_ablation.py bbreg" in capsys.readouterr().err
