"""All trainings of a table by one command: nothing twice, nothing lost, and a failure leaves the others alone."""

import functools
import signal
from types import SimpleNamespace

import pytest

from ltr.commands import reproduce
from ltr.common.errors import UserError
from ltr.evaluation.trainings import reproduction, rounds, training
from ltr.evaluation.trainings.board import last_line
from ltr.evaluation.trainings.reproduction import REPRODUCTIONS
from ltr.evaluation.trainings.training import Training
from ltr.train_settings.registry import SYSTEMS
from ltr.trainers.trainer import Trainer
from tests.helpers.executors import Here, make_one_by_one
from tests.helpers.faces import OPTIONS, make_utkface

SHORT = [*OPTIONS, "--epochs", "1", "--val_every", "1"]


@pytest.fixture(scope="module")
def utkface(module_folder):
    return make_utkface(module_folder / "utkface")


@pytest.fixture(autouse=True)
def here(utkface, monkeypatch):
    monkeypatch.setenv("EBM_UTKFACE", str(utkface))
    monkeypatch.setattr(reproduce, "train_rounds", functools.partial(rounds.train_rounds, make_executor=Here))


def run(folder, *arguments):
    return reproduce.main(["age", *SHORT, "--workspace", str(folder), *arguments])


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """`ebm-reproduce toy` with trainings of milliseconds and no table; `toy.runs` has their folders."""
    monkeypatch.setattr(training, "REPORTS", {})
    monkeypatch.setattr(reproduce, "results", lambda *a: None)
    tiny = ["--epochs", "1", "--samples_per_epoch", "8", "--batch_size", "4", "--workers", "0", "--device", "cpu",
            "--schedule.kind", "step"]  # fmt: skip

    def run(*arguments):
        return reproduce.main(["toy", *tiny, "--ebm.loss.num_samples", "4", "--workspace", str(tmp_path), *arguments])

    run.runs = tmp_path / "checkpoints" / "ltr" / "toy"
    return run


def test_a_table_and_nothing_twice(tmp_path, capsys, monkeypatch):
    wanted = ["--systems", "gaussian", "ebm", "--gaussian.initial_scale", "20"]
    assert run(tmp_path, *wanted, "--jobs", "2") == 0
    out = capsys.readouterr().out
    runs = tmp_path / "checkpoints" / "ltr" / "age"
    assert {p.name for p in runs.iterdir()} == {"gaussian_0", "ebm_0"}
    assert "[2/2]" in out and "gaussian_0: trained" in out and "by ebm_0." in out
    assert (tmp_path / "evaluation" / "age" / "test.txt").read_text() in out
    assert "initial_scale 20 (1)" in out  # of the Gaussian alone
    assert "epoch 1/1" in (runs / "ebm_0" / "train.log").read_text() and "epoch 1/1" not in out

    monkeypatch.setattr(Trainer, "train", lambda *a, **k: pytest.fail("this is trained already"))
    assert run(tmp_path, *wanted) == 0
    assert capsys.readouterr().out.count("already trained") == 2


def test_a_failure_is_named_and_the_others_finish(toy, capsys, monkeypatch):
    train = Training.train

    def fail(training, restart=False):
        if training.name == "ebm_0":
            raise ZeroDivisionError("of the first")
        return train(training, restart)

    monkeypatch.setattr(Training, "train", fail)
    assert toy("--seeds", "0", "1", "--gaussian.batch_size", "0") == 1
    printed = capsys.readouterr()
    log = toy.runs / "ebm_0" / "train.log"
    assert f"ebm_0 failed: of the first; log: {log}" in printed.err
    assert "ZeroDivisionError" in log.read_text() and "Traceback" not in printed.err
    assert "gaussian_0 failed: --batch_size is 0" in printed.err and "gaussian_1 failed" in printed.err
    assert "[4/4]" in printed.out and "ebm_1: trained" in printed.out


def test_other_settings_are_not_mixed_in(toy, capsys):
    assert toy("--systems", "ebm") == 0
    assert toy("--systems", "ebm", "--ebm.batch_size", "2") == 1
    assert "batch_size: 4 there, 2 now" in capsys.readouterr().err
    assert toy("--systems", "ebm", "--ebm.batch_size", "2", "--label", "small") == 0
    assert {p.name for p in toy.runs.iterdir()} == {"ebm_0", "ebm_small_0"}
    assert toy("--systems", "ebm", "--ebm.epochs", "2") == 0  # more of the same goes on
    assert "continuing from" in (toy.runs / "ebm_0" / "train.log").read_text()


def test_a_training_that_was_killed_before_its_report_gets_one(toy, capsys, monkeypatch):
    assert toy("--systems", "ebm") == 0
    assert toy("--systems", "ebm") == 0 and "already trained" in capsys.readouterr().out
    monkeypatch.setattr(training, "REPORTS", {"toy": lambda folder, *_: (folder / "densities.png").touch()})
    assert toy("--systems", "ebm") == 0 and "ebm_0: trained" in capsys.readouterr().out
    assert (toy.runs / "ebm_0" / "densities.png").exists()
    assert toy("--systems", "ebm") == 0 and "ebm_0: already trained" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name, each in REPRODUCTIONS.items() if each.evaluation is not None])
def test_the_command_of_the_table_knows_its_options(name, tmp_path, monkeypatch):
    """It comes after all trainings: a mistake would cost nothing but hours."""
    settings = SimpleNamespace(device="cpu", workspace=tmp_path, seed=0, data=SimpleNamespace(root=None))
    trained = SimpleNamespace(system="gaussian", folder=tmp_path / "gaussian_0", settings=settings)
    with pytest.raises(UserError, match="gaussian_0"):  # there is no such run
        reproduction.results(REPRODUCTIONS[name], [trained])


def test_ctrl_c_stops_and_the_same_command_goes_on(toy, capsys, monkeypatch):
    train = Trainer.train

    def interrupted(trainer, restart):
        if trainer.folder.name == "ebm_1":
            signal.raise_signal(signal.SIGINT)  # as the command gets it
            trainer._received.number = signal.SIGINT  # as it passes it on
        return train(trainer, restart)

    wanted = ["--systems", "ebm", "--seeds", "0", "1", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", interrupted)
        make_one_by_one(patch, reproduce)
        assert toy(*wanted) == 130
    out = capsys.readouterr().out
    assert "ebm_1: stopped" in out and not (toy.runs / "ebm_2").exists()
    assert "stopped; 1 of 3 trainings are done, and the same command continues" in out
    assert toy(*wanted) == 0
    out = capsys.readouterr().out
    assert "ebm_0: already trained" in out and out.count(": trained") == 2
    assert "continuing from" in (toy.runs / "ebm_1" / "train.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shoe_size"], "there are: age, bbreg, detection"),
        (["age", "--systems", "direct_l2", "--ebm.epochs", "3"], "--ebm"),
        (["age", "--label", "../x"], "--label is '../x'"),
        (["age", "--jobs", "0"], "--jobs"),
        (["age", "--systems", "shoes"], "--systems"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        reproduce.main(arguments)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and said in err and "Traceback" not in err


def test_settings_of_one_system():
    words = ["--epochs", "3", "--ebm.loss.sigmas", "0.1", "20", "--bins.lower", "-90", "--direct-l2.seed=4"]
    shared, special = reproduce.split_by_system(words, SYSTEMS["age"])
    assert shared == ["--epochs", "3", "--bins.lower", "-90"]
    assert special == {"ebm": ["--loss.sigmas", "0.1", "20"], "direct_l2": ["--seed=4"]}


def test_missing_data_are_said_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_UTKFACE", str(tmp_path / "none"))
    with pytest.raises(UserError, match="none"):
        reproduce.main.__wrapped__(["age", *SHORT, "--workspace", str(tmp_path)])


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "train.log"
    assert last_line(log) == ""
    log.write_bytes("epoch 1/3 | loss 2\n\r  10%|█ | 1/10\r  20%|██ | 2/10\x1b[A\n\n".encode())
    assert last_line(log) == "20%|██ | 2/10"
