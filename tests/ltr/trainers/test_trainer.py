"""The training loop on a tiny task: exact resuming, batches cut in parts, and failures that lose nothing."""

import json
import logging
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.settings import OptimizerSettings, ScheduleSettings
from ltr.trainers.checkpoint import read_checkpoint
from tests.helpers.comparing import same
from tests.helpers.tiny_training import Line, TinyActor, make_settings, make_trainer

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).parents[2] / "helpers" / "tiny_training.py"


def run_script(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tiny_final.safetensors")


def history(folder: Path) -> list[dict]:
    """The lines of log.jsonl, less what is measured and not computed."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """Folder of a run without interruption."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert make_trainer(folder).train()
    return folder


def stop_at(call: int, number: int = signal.SIGINT) -> TinyActor:
    """An actor in whose `call`-th step a signal arrives."""
    actor = TinyActor()
    actor.before_step = lambda actor: os.kill(os.getpid(), number) if actor.calls == call else None
    return actor


# --- learning and what it leaves behind


def test_training_lowers_the_validation_loss(tmp_path):
    settings = make_settings(epochs=6, samples_per_epoch=160)
    actor = TinyActor()
    trainer = make_trainer(tmp_path, settings, actor)
    frozen = actor.frozen.bias.clone()
    trainer.train()
    losses = [line["val"]["loss"] for line in history(tmp_path)]
    assert losses[-1] < 0.3 * losses[0]
    assert torch.equal(actor.frozen.bias, frozen) and actor.frozen.bias.grad is None


def test_samples_come_in_the_order_of_their_numbers(tmp_path):
    actor = TinyActor()
    make_trainer(tmp_path, make_settings(epochs=2, samples_per_epoch=20), actor).train()
    # the last incomplete batch of an epoch is left out, and the next epoch begins at its own first sample
    assert actor.seen == [*range(16), *range(20, 36)]


def test_best_and_last_are_kept_and_nothing_else(unbroken):
    files = {path.name for path in unbroken.iterdir()} - {"tensorboard", ".lock"}
    assert files == {"last.pth", "previous.pth", "best.pth", "log.jsonl", "tiny_final.safetensors"}
    best = min(history(unbroken), key=lambda line: line["val"]["loss"])
    assert read_checkpoint(unbroken / "best.pth")["position"]["epoch"] == best["epoch"]
    assert any((unbroken / "tensorboard").iterdir())


def test_final_weights_carry_settings(unbroken):
    with safetensors.safe_open(unbroken / "tiny_final.safetensors", "pt") as file:
        about = file.metadata()
    assert json.loads(about["settings"])["optimizer"]["lr"] == 0.02
    assert about["epochs"] == "3"


def test_two_runs_with_one_seed_are_identical_and_another_seed_differs(tmp_path, unbroken):
    make_trainer(tmp_path / "a").train()
    make_trainer(tmp_path / "b", make_settings(seed=1)).train()
    assert same(final_weights(tmp_path / "a"), final_weights(unbroken))
    assert not same(final_weights(tmp_path / "b"), final_weights(unbroken))


def test_loader_processes_do_not_change_the_result(tmp_path, unbroken):
    make_trainer(tmp_path, make_settings(workers=2)).train()
    assert same(final_weights(tmp_path), final_weights(unbroken))


def test_validation_counts_each_sample_once_whatever_the_batches(tmp_path):
    class Mean(TinyActor):
        def forward(self, batch):
            loss, _ = super().forward(batch)
            return loss, {"k": batch["k"].float().mean()}

    for size in (4, 8):
        make_trainer(tmp_path / str(size), make_settings(epochs=1, batch_size=size), Mean()).train()
        assert history(tmp_path / str(size))[-1]["val"]["k"] == pytest.approx(10.0)  # of 0 .. 20


# --- stopping and going on


@pytest.mark.parametrize("step", [2, 5, 12])  # the first of a checkpoint alone, the last of an epoch, the middle
def test_ctrl_c_and_resume_equal_an_unbroken_run(tmp_path, unbroken, capsys, step):
    handler_before = signal.getsignal(signal.SIGINT)  # not always Python's own: a shell's background jobs ignore it
    first = make_trainer(tmp_path, make_settings(checkpoint_minutes=1e6), stop_at(step))
    assert first.train() is False
    assert first.stop_signal == signal.SIGINT and first.global_step == step
    assert signal.getsignal(signal.SIGINT) is handler_before
    assert "the same command continues" in capsys.readouterr().out
    assert make_trainer(tmp_path).train()
    assert same(final_weights(tmp_path), final_weights(unbroken))
    assert history(tmp_path) == history(unbroken)


def test_sigkill_in_the_middle_of_a_step_and_resume_equal_an_unbroken_run(tmp_path, unbroken):
    killed = run_script(str(tmp_path), json.dumps({"workers": 2}), "8")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_checkpoint(tmp_path / "last.pth")["position"] == {"epoch": 1, "step": 3}
    assert make_trainer(tmp_path).train()
    assert same(final_weights(tmp_path), final_weights(unbroken))
    assert history(tmp_path) == history(unbroken)


def test_ctrl_c_in_validation_leaves_the_epoch_open(tmp_path, unbroken):
    class Stopped(TinyActor):
        def forward(self, batch):
            if not self.training:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().forward(batch)

    trainer = make_trainer(tmp_path, actor=Stopped())
    assert trainer.train() is False and trainer.stop_signal == signal.SIGTERM
    assert read_checkpoint(tmp_path / "last.pth")["position"] == {"epoch": 0, "step": 5}
    assert make_trainer(tmp_path).train()
    assert same(final_weights(tmp_path), final_weights(unbroken))
    assert history(tmp_path) == history(unbroken)


def test_the_line_that_a_killed_process_left_out_of_the_log_is_written(tmp_path, unbroken):
    """It died after the last checkpoint, and before the log."""
    make_trainer(tmp_path).train()
    log = tmp_path / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    make_trainer(tmp_path).train()
    assert history(tmp_path) == history(unbroken)


def test_more_epochs_go_on_from_a_complete_run(tmp_path, unbroken):
    make_trainer(tmp_path, make_settings(epochs=2)).train()
    make_trainer(tmp_path).train()
    assert same(final_weights(tmp_path), final_weights(unbroken))


def test_sgd_keeps_its_momentum_over_an_interruption(tmp_path):
    settings = make_settings(optimizer=OptimizerSettings(kind="sgd"), schedule=ScheduleSettings(kind="multistep"))
    make_trainer(tmp_path / "a", settings).train()
    assert not make_trainer(tmp_path / "b", settings, stop_at(8)).train()
    make_trainer(tmp_path / "b", settings).train()
    assert same(final_weights(tmp_path / "a"), final_weights(tmp_path / "b"))


def test_a_complete_run_is_not_trained_again(tmp_path):
    make_trainer(tmp_path).train()
    actor = TinyActor()
    assert make_trainer(tmp_path, actor=actor).train()
    assert actor.calls == 0


def test_restart_forgets_the_old_run(tmp_path):
    make_trainer(tmp_path, make_settings(epochs=1, seed=3)).train()
    actor = TinyActor()
    make_trainer(tmp_path, make_settings(epochs=1), actor).train(restart=True)
    assert actor.calls == 5 and len(history(tmp_path)) == 1


def test_other_settings_are_refused_by_name(tmp_path):
    make_trainer(tmp_path, make_settings(epochs=1)).train()
    changed = make_settings(epochs=1, seed=1, optimizer=OptimizerSettings(lr=0.5), workers=1, log_every=7)
    with pytest.raises(
        UserError, match=r"optimizer\.lr: 0\.02 there, 0\.5 now; seed: 0 there, 1 now\).*--run_name.*--restart"
    ):
        make_trainer(tmp_path, changed).train()


def test_one_cycle_cannot_be_made_longer_on_the_way(tmp_path):
    cycle = dict(schedule=ScheduleSettings(kind="one_cycle"))
    make_trainer(tmp_path, make_settings(epochs=1, **cycle)).train()
    with pytest.raises(UserError, match="epochs: 1 there, 2 now"):
        make_trainer(tmp_path, make_settings(epochs=2, **cycle)).train()


def test_another_network_is_refused(tmp_path):
    make_trainer(tmp_path, make_settings(epochs=1)).train()
    with pytest.raises(UserError, match="last.pth holds another network"):
        make_trainer(tmp_path, make_settings(epochs=2), TinyActor(norm=False)).train()


def test_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path, unbroken, caplog):
    make_trainer(tmp_path, actor=stop_at(7)).train()
    last = tmp_path / "last.pth"
    last.write_bytes(last.read_bytes()[:2000])
    with caplog.at_level(logging.WARNING):
        make_trainer(tmp_path).train()
    assert "last.pth is damaged" in caplog.text and "previous.pth" in caplog.text
    assert same(final_weights(tmp_path), final_weights(unbroken))


def test_a_folder_in_use_is_refused(tmp_path):
    def intrude(actor: TinyActor) -> None:
        with pytest.raises(UserError, match="another process is training in"):
            make_trainer(tmp_path).train()

    actor = TinyActor()
    actor.before_step = intrude
    make_trainer(tmp_path, make_settings(epochs=1), actor).train()
    make_trainer(tmp_path).train()


# --- the batch, cut in parts


def weights_after(folder: Path, **changes) -> dict[str, torch.Tensor]:
    # no noise and no batch norm: both are drawn and computed part by part
    make_trainer(folder, make_settings(**changes), TinyActor(noise=0.0, norm=False)).train()
    return final_weights(folder)


def test_accumulated_parts_equal_the_whole_batch(tmp_path):
    whole = weights_after(tmp_path / "whole", grad_clip=0.5)
    parts = weights_after(tmp_path / "parts", grad_clip=0.5, accumulate=4)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 3, 5])
def test_every_step_follows_the_mean_gradient_of_its_samples(tmp_path, accumulate):
    """Also where parts differ in size, and the last batch has fewer samples than there are parts."""

    class Linear(TinyActor):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(3, 1, bias=False)

        def forward(self, batch):
            loss = (self.net(batch["x"])[:, 0] - batch["y"]).square().mean()
            return loss, {"k": batch["k"].float().mean()}

    sgd = OptimizerSettings(kind="sgd", lr=0.1, momentum=0.0)
    schedule = ScheduleSettings(kind="step", step_size=1, gamma=0.5)
    settings = make_settings(
        epochs=2, samples_per_epoch=20, drop_last=False, accumulate=accumulate, optimizer=sgd, schedule=schedule
    )
    trainer = make_trainer(tmp_path, settings, Linear())
    w = trainer.model.weight.detach().double()[0]
    trainer.train()
    for epoch, (rate, steps) in enumerate([(0.1, [(0, 8), (8, 16), (16, 20)]), (0.05, [(20, 28), (28, 36), (36, 40)])]):
        for first, end in steps:
            samples = [Line(40)[k] for k in range(first, end)]
            x, y = (torch.stack([sample[name] for sample in samples]).double() for name in "xy")
            w = w - rate * 2 * ((x @ w - y) @ x) / (end - first)
        assert history(tmp_path)[epoch]["train"]["k"] == pytest.approx(9.5 + 20 * epoch)  # of all samples, each once
    torch.testing.assert_close(final_weights(tmp_path)["weight"][0].double(), w, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_torchrun_starts_two_that_equal_one(tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    changes = json.dumps({"noise": 0.0, "norm": False, "accumulate": 2, "workers": 1})
    done = run_script(str(tmp_path / "two"), changes, launcher=torchrun)
    assert done.returncode == 0, done.stderr[-3000:]
    one = weights_after(tmp_path / "one")
    two = final_weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-6)


def test_a_batch_that_cannot_be_cut_is_refused(tmp_path):
    with pytest.raises(UserError, match="--batch_size 8 cannot be divided .* 9 accumulated parts: make it at least 9"):
        make_trainer(tmp_path, make_settings(accumulate=9))


def test_a_part_of_one_sample_is_refused_where_it_has_no_statistics(tmp_path):
    with pytest.raises(UserError, match=r"at epoch 1, step 5 has a single sample.*--drop_last True"):
        make_trainer(tmp_path, make_settings(samples_per_epoch=41, drop_last=False)).train()


# --- failures


def spoiled(calls: set[int], what: str) -> TinyActor:
    class Spoiled(TinyActor):
        def forward(self, batch):
            loss, stats = super().forward(batch)
            if self.training and self.calls in calls:
                if what == "loss":
                    loss = loss * math.nan
                else:  # finite, with a gradient that is not
                    loss = loss + (0 * self.net[0].bias.sum()).abs().sqrt()
            return loss, stats

    return Spoiled()


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path, caplog, what):
    with caplog.at_level(logging.WARNING):
        make_trainer(tmp_path, make_settings(max_bad_steps=2), spoiled({2, 3, 7}, what)).train()
    assert f"{what} not finite at epoch 1, step 1: step skipped (1 skipped so far)" in caplog.text
    assert history(tmp_path)[-1]["skipped"] == 3
    assert math.isfinite(history(tmp_path)[0]["train"]["loss"])
    assert all(value.isfinite().all() for value in final_weights(tmp_path).values())


def test_too_many_bad_steps_in_a_row_end_the_run(tmp_path):
    with pytest.raises(UserError, match=r"3 steps in a row, up to epoch 2, step 3\. Try a smaller --optimizer\.lr"):
        make_trainer(tmp_path, make_settings(max_bad_steps=2), spoiled(set(range(7, 99)), "loss")).train()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_error_is_one_sentence_and_keeps_what_was_done(tmp_path, workers):
    class Broken(Dataset):
        def __getitem__(self, k):
            if k == 30:
                raise UserError("cannot read /data/30.jpg: it is truncated")
            return Line(10**9)[k]

    settings = make_settings(workers=workers, checkpoint_minutes=1e6)
    with pytest.raises(UserError) as caught:
        trainer = make_trainer(tmp_path, settings)
        trainer.task.train_data = Broken()
        trainer.train()
    assert str(caught.value) == "cannot read /data/30.jpg: it is truncated"
    assert read_checkpoint(tmp_path / "last.pth")["position"] == {"epoch": 0, "step": 3}


@pytest.mark.parametrize("name", ["epochs", "batch_size", "accumulate", "samples_per_epoch"])
def test_senseless_numbers_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"--{name} is 0"):
        make_trainer(tmp_path, make_settings(**{name: 0}))


def test_half_precision_computes_in_it_and_does_not_round_the_batch(tmp_path):
    """A box at 297.3 px or an age of 40.1 would be another one in bfloat16."""
    seen, computed = [], []

    class Watching(TinyActor):
        def forward(self, batch):
            seen.append((batch["x"].dtype, batch["y"].dtype))
            computed.append(self.net[0](batch["x"]).dtype)
            return super().forward(batch)

    make_trainer(tmp_path, make_settings(precision="bf16-mixed", epochs=1), Watching()).train()
    assert set(seen) == {(torch.float32, torch.float32)} and set(computed) == {torch.bfloat16}


def test_precisions_and_devices_that_are_not_there(tmp_path):
    make_trainer(tmp_path, make_settings(precision="bf16-mixed", epochs=1)).train()
    assert all(value.isfinite().all() and value.dtype != torch.bfloat16 for value in final_weights(tmp_path).values())
    with pytest.raises(UserError, match="16-mixed needs a CUDA device"):
        make_trainer(tmp_path, make_settings(precision="16-mixed"))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            make_trainer(tmp_path, make_settings(device="cuda"))
