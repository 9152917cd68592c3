"""The comparison of losses: constants, what it keeps, and its tables."""

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from ltr.commands import compare_toy
from ltr.common.errors import UserError
from ltr.dataset.toy import ToySamples
from ltr.evaluation.toy import comparison
from ltr.evaluation.toy.divergence import model_log_density, true_log_density
from ltr.evaluation.trainings.calls import do_calls
from tests.helpers.executors import Here, Later, wait_for_one


@pytest.fixture
def quick(monkeypatch):
    """Few pairs and a coarse grid: the numbers do not matter here."""
    settings = comparison.method_settings

    def fewer(method, data):
        s = settings(method, data)
        s.samples_per_epoch = 256
        return s

    monkeypatch.setattr(comparison, "do_calls", partial(do_calls, make_executor=Here))
    monkeypatch.setattr(comparison, "method_settings", fewer)
    monkeypatch.setattr(comparison, "model_log_density", partial(model_log_density, num_cells=32))
    monkeypatch.setattr(comparison, "true_log_density", partial(true_log_density, num_cells=32))


TINY = ["--epochs", "1", "--num_samples", "4", "--methods", "gaussian", "nce_plus", "--sets", "2"]


def compare(workspace: Path, *arguments: str) -> int:
    return compare_toy.main([*arguments, "--workspace", str(workspace)])


def lines(workspace: Path) -> list[dict]:
    text = (workspace / "toy_comparison" / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_finished_runs_are_kept_and_not_done_again(tmp_path, quick, capsys):
    assert compare(tmp_path, *TINY, "--seeds", "1") == 0
    first = lines(tmp_path)
    assert [(r["data"], r["method"], r["seed"]) for r in first] == [("2", "gaussian", 0), ("2", "nce_plus", 0)]
    assert all(r["kl"]["all"] > 0 and r["seconds"] > 0 for r in first)
    file = tmp_path / "toy_comparison" / "results.jsonl"
    file.write_text(file.read_text() + '{"data": "2", "method"')  # killed while it wrote
    assert compare(tmp_path, *TINY, "--seeds", "2") == 0
    kept = file.read_text().splitlines()
    assert [json.loads(line) for line in kept[:2]] == first and len(kept) == 5
    assert [json.loads(line)["seed"] for line in kept[3:]] == [1, 1]
    out = capsys.readouterr().out
    assert "NCE+" in out and "epoch" not in out
    table = json.loads((tmp_path / "toy_comparison" / "table.json").read_text())
    assert [(r["method"], r["runs"]) for r in table["rows"]] == [("gaussian", 2), ("nce_plus", 2)]
    # another number of candidates is another comparison
    assert compare(tmp_path, *TINY[:2], "--num_samples", "5", *TINY[4:], "--seeds", "1") == 0
    assert [r["num_samples"] for r in map(json.loads, file.read_text().splitlines()[5:])] == [5, 5]


def test_ctrl_c_ends_after_a_step_and_the_same_command_goes_on(tmp_path, quick, monkeypatch, capsys):
    get = ToySamples.__getitem__

    def interrupting(self, k):
        if k == 100:
            signal.raise_signal(signal.SIGINT)  # to the training
            signal.raise_signal(signal.SIGINT)  # to the command
        return get(self, k)

    arguments = [*TINY[:4], "--methods", "nce_plus", "--sets", "2", "--seeds", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(ToySamples, "__getitem__", interrupting)
        wait_for_one(patch)
        patch.setattr(comparison, "do_calls", partial(do_calls, make_executor=Later))
        assert compare(tmp_path / "broken", *arguments) == 130
    assert "stopped after 0 of 1 runs" in capsys.readouterr().out
    assert compare(tmp_path / "broken", *arguments) == compare(tmp_path / "whole", *arguments) == 0
    (broken,), (whole,) = lines(tmp_path / "broken"), lines(tmp_path / "whole")
    assert broken["kl"] == whole["kl"]


def test_a_run_that_fails_is_named_and_the_others_finish(tmp_path, quick, monkeypatch, capsys):
    train = comparison.Trainer.train

    def failing(self, restart=False):
        if self.name == "nce_plus":
            raise UserError("the loss was not finite for 21 steps in a row")
        return train(self, restart)

    monkeypatch.setattr(comparison.Trainer, "train", failing)
    assert compare(tmp_path, *TINY, "--seeds", "2") == 1
    assert [(r["method"], r["seed"]) for r in lines(tmp_path)] == [("gaussian", 0), ("gaussian", 1)]
    err = capsys.readouterr().err
    assert all(f"set 2, NCE+, seed {seed} failed: the loss was not finite" in err for seed in (0, 1))


def test_constants_are_those_of_the_follow_up():
    of = comparison.method_settings
    for method in comparison.METHODS:
        s = of(method, "1_shifted")
        assert (s.epochs, s.batch_size, s.samples_per_epoch, s.optimizer.lr) == (75, 32, 2000, 1e-3)
        assert (s.schedule.kind, s.schedule.gamma, s.data) == ("step", 1.0, "1_shifted")
        if method != "gaussian":
            assert (s.net, s.loss.kind, s.loss.num_samples) == ("smooth", method, 1024)
    assert of("nll", "2").loss.sigmas == of("kld", "2").loss.sigmas == (0.2, 1.6)
    assert of("nce", "2").loss.sigmas == of("nce_plus", "2").loss.sigmas == (0.1, 0.8)
    assert (of("nce_plus", "2").loss.beta, of("kld", "2").loss.sigma_gt) == (0.025, 0.025)
    assert [of("dsm", data).loss.sigma_dsm for data in ("1", "1_shifted", "2")] == [0.2, 0.2, 0.075]
    assert [of("mcmc", data).loss.langevin_step for data in ("1", "2")] == [0.05, 0.0125]
    assert of("mcmc", "1").loss.langevin_iterations == 16


def result(method: str, kl: float, seed: int = 0, data: str = "2", seconds: float = 10.0) -> dict:
    return {"data": data, "method": method, "seed": seed, "kl": {"all": kl}, "seconds": seconds}


def test_of_twenty_seeds_the_best_five_count_otherwise_all():
    twenty = comparison.summarise(result("nce", kl / 10, kl) for kl in range(20, 0, -1))
    assert [(r["kl"], r["kl_runs"], r["runs"]) for r in twenty] == [(pytest.approx(0.3), 5, 20)]
    three = comparison.summarise(result("nce", kl, i, seconds=s) for i, (kl, s) in enumerate([(1, 4), (2, 8), (6, 9)]))
    assert (three[0]["kl"], three[0]["seconds"]) == (pytest.approx(3.0), pytest.approx(7.0))
    assert three[0]["kl_std"] == pytest.approx((14 / 3) ** 0.5)


def test_tables():
    rows = comparison.summarise(
        [
            result("nce_plus", 0.01, seconds=65),
            result("nce_plus", 0.03, seed=1, seconds=65),
            result("gaussian", 0.5),
            result("nll", 0.2, data="1_shifted"),
        ]
    )
    assert comparison.text_table(rows).splitlines()[1:] == [
        "1_shifted ML-IS       0.2000        -     10.0  1",
        "2         Gaussian    0.5000        -     10.0  1",
        "2         NCE+        0.0200   0.0100     65.0  2",
    ]
    body = [line for line in comparison.latex_table(rows).splitlines() if line.endswith(r"\\")][1:]
    assert body == [
        r"Gaussian & -- & -- & 0.500 & 10 \\",
        r"ML-IS & \textbf{0.200} & 10 & -- & -- \\",
        r"NCE+ & -- & -- & \textbf{0.020} $\pm$ 0.010 & 65 \\",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0"], "--seeds is 0"),
        (["--num_samples", "-1"], "--num_samples is -1"),
        (["--methods", "l2"], "invalid choice: 'l2'"),
        (["--sets", "3"], "invalid choice: '3'"),
    ],
)
def test_bad_options_are_one_sentence(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        compare(tmp_path, *arguments)
    assert caught.value.code == 2 and said in capsys.readouterr().err
