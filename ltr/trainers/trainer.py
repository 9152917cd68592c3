"""The training loop: epochs of numbered samples, on one or many devices, resumable at any step.

A step is a function of the weights, the optimiser's state, the seed and the position (epoch, step) alone: samples are
numbered, the learning rate is computed, and all random generators are seeded anew before every step. So no random state
needs saving, and a run that was killed and resumed ends with the same weights as one that was not: bit for bit on the
CPU with the same number of threads, processes and accumulated parts.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ltr.common.device import for_sums
from ltr.common.errors import UserError
from ltr.common.files import remove_abandoned, writing
from ltr.common.locks import locked
from ltr.common.plain import to_plain
from ltr.common.progress import progress_bar
from ltr.common.provenance import library_versions
from ltr.common.seeds import TRAINING_STREAM, seed_everything
from ltr.common.settings import TrainSettings
from ltr.data.loading import load_batches
from ltr.trainers.checkpoint import (
    link_checkpoint,
    load_optimizer,
    load_scaler,
    load_weights,
    read_latest,
    remove_checkpoints,
    save_checkpoint,
)
from ltr.trainers.checks import check_same_settings, check_settings
from ltr.trainers.export import export_weights
from ltr.trainers.fabric import make_fabric
from ltr.trainers.log import Averages, TrainingLog
from ltr.trainers.numbering import parts_of_step, size_of_step, train_batches
from ltr.trainers.schedule import learning_rate, make_optimizer
from ltr.trainers.signals import StopSignal
from ltr.trainers.state import TrainingState
from ltr.trainers.task import Task
from ltr.trainers.validation import validate

logger = logging.getLogger(__name__)


class Trainer:
    """Trains one task in one folder.

    Args:
        settings: what to train and how.
        task: the actor and the data; build it after :func:`seed_for_build`.
        folder: where checkpoints, logs and final weights go; made if missing.
        name: name of the exported file `{name}_final.safetensors`.

    Under torchrun every process makes its own Trainer with the same arguments.

    Attributes:
        model: the network whose weights are saved.
        is_first: whether this is the first process, which alone writes and prints.
        stop_signal: the signal that ended the training; None if none did.

    Raises:
        UserError: if a setting is out of its range, the batch cannot be divided, or there is no CUDA device.
    """

    def __init__(self, settings: TrainSettings, task: Task, folder: Path, name: str) -> None:
        self.settings, self.task, self.folder, self.name = settings, task, Path(folder), name
        self.fabric = make_fabric(settings)
        self.fabric.launch()
        self.world, self.rank = self.fabric.world_size, self.fabric.global_rank
        self.is_first = self.fabric.is_global_zero
        check_settings(settings, self.world)

        actor = task.actor
        self.model = actor.checkpoint_model()
        self.parameters = list(actor.trainable_parameters())
        chosen = {id(p) for p in self.parameters}
        for parameter in actor.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        self._raw_optimizer = make_optimizer(settings.optimizer, self.parameters)
        self.module, self.optimizer = self.fabric.setup(actor, self._raw_optimizer)

        self.state = TrainingState()
        self.stop_signal: int | None = None  # on which all processes stop
        self._received = StopSignal()  # by this process

    # --- public

    @property
    def global_step(self) -> int:
        """Optimiser steps done since the start of the training."""
        return self.state.epoch * self.settings.steps_per_epoch + self.state.step

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry for each epoch done: its training and validation statistics."""
        return self.state.history

    def train(self, restart: bool = False) -> bool:
        """Train from the folder's last checkpoint, or from the start, to the last epoch.

        Args:
            restart: delete the folder's checkpoints first.

        Returns:
            True when the training is complete and its weights exported; False when a signal (`stop_signal`) ended it
            after a step, with its state saved.

        Raises:
            UserError: if another process trains in the folder, settings differ from the checkpoint's, a checkpoint
                cannot be read, the data fail, or the loss stays non-finite.
        """
        with self._exclusive():
            if restart and self.is_first:
                remove_checkpoints(self.folder)
            self.fabric.barrier()
            self._resume()
            self._session_start = self._saved_at = time.monotonic()
            self._session_first = self.global_step
            self._log = TrainingLog(self.folder, self.global_step, enabled=self.is_first)
            with contextlib.closing(self._log), self._received.listening(self._say):
                self._run()
            if self.stop_signal is None and self.is_first:
                path = self.folder / f"{self.name}_final.safetensors"
                export_weights(path, self.model, self.settings, self.state.epoch)
                self._say(f"trained for {self.state.epoch} epochs; weights in {path}")
            self.fabric.barrier()
        return self.stop_signal is None

    # --- the loop

    def _run(self) -> None:
        s, state = self.settings, self.state
        if state.epoch >= s.epochs:
            self._log.epochs(state.history)  # of which a process that was killed may have left the last one out
            self._say(f"already trained for {state.epoch} epochs")
            return
        numbers = train_batches(s, self.world, self.rank, self.global_step)
        on_gpu = self.fabric.device.type == "cuda"
        with load_batches(self.task.train_data, numbers, s.workers, self.task.collate, on_gpu) as batches:
            while state.epoch < s.epochs and self.stop_signal is None:
                self._train_epoch(batches)
                if self.stop_signal is None:
                    self._finish_epoch()
        if self.stop_signal is not None:
            self._save()
            self._say(f"stopped at epoch {state.epoch + 1}, step {state.step}; saved {self.folder / 'last.pth'}")
            self._say("the same command continues from there")

    def _train_epoch(self, batches: Iterator[Any]) -> None:
        s, state = self.settings, self.state
        self.module.train()
        window, window_start, window_samples = Averages(), time.monotonic(), 0.0
        title = f"epoch {state.epoch + 1}/{s.epochs}"
        with progress_bar(s.steps_per_epoch, title, "step", state.step, leave=False, show=self.is_first) as bar:
            while state.step < s.steps_per_epoch and self.stop_signal is None:
                started = time.monotonic()
                stats = self._train_step(batches)
                state.step += 1
                state.seconds += time.monotonic() - started
                share = size_of_step(s, self.global_step - 1) / s.batch_size
                state.averages.add(stats, share)
                window.add(stats, share)
                window_samples += share * s.batch_size
                if self.global_step % s.log_every == 0:
                    speed = window_samples / (time.monotonic() - window_start)
                    self._log.scalars("train", window.means(), self.global_step)
                    self._log.scalars(
                        "run", {"learning_rate": stats["lr"], "samples_per_second": speed}, self.global_step
                    )
                    window, window_start, window_samples = Averages(), time.monotonic(), 0.0
                loss = state.averages.means()["loss"]
                bar.set_postfix_str(f"loss {loss:.4g}, all done in {self._remaining()}", refresh=False)
                bar.update()
                within = state.step < s.steps_per_epoch and self.stop_signal is None
                if within and time.monotonic() - self._saved_at >= 60 * s.checkpoint_minutes:
                    self._save()

    def _train_step(self, batches: Iterator[Any]) -> dict[str, float]:
        """One optimiser step at the present position; returns its statistics, averaged over parts and processes."""
        settings, step = self.settings, self.global_step
        parts = parts_of_step(settings, self.world, self.rank, step)
        lr = learning_rate(settings, step)
        for group in self._raw_optimizer.param_groups:
            group["lr"] = lr
        collected: list[tuple[float, dict[str, Any]]] = []
        for number, part in enumerate(parts):
            batch = self._next(batches)
            seed_everything(settings.seed, TRAINING_STREAM, step, number, self.rank)
            weight = part.share * self.world  # gradients are averaged over the processes
            with self.fabric.no_backward_sync(self.module, enabled=number < len(parts) - 1):
                loss, stats = self.module(self.fabric.to_device(batch))
                self.fabric.backward(loss * weight)
            collected.append((weight, {**stats, "loss": loss}))

        # with '16-mixed' the gradients are scaled, may overflow, and are checked by the scaler's own step
        scaled = settings.precision == "16-mixed"
        extra = {} if scaled else {"grad_norm": self._gradient_norm()}
        means, stop = self._reduce(collected, extra)
        if math.isfinite(means["loss"]) and math.isfinite(means.get("grad_norm", 0.0)):
            if settings.grad_clip is not None:
                largest = settings.grad_clip
                self.fabric.clip_gradients(self.module, self.optimizer, max_norm=largest, error_if_nonfinite=False)
            self.optimizer.step()
            self.state.bad_in_row = 0
        else:
            self._skip(means)
        self.optimizer.zero_grad(set_to_none=True)
        if self.world == 1:
            self.stop_signal = self._received.number
        elif stop:  # all processes stop after the same step
            self.stop_signal = self._received.number or signal.SIGINT
        return {**means, "lr": lr}

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches)
        except UserError:
            # parts accumulated so far are in the gradients, and are not saved
            if self.global_step > self._session_first:
                self._save()
            raise

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _reduce(
        self, collected: list[tuple[float, dict[str, Any]]], extra: dict[str, Any]
    ) -> tuple[dict[str, float], bool]:
        """Means over parts and processes, and whether any process was told to stop, in one exchange."""
        device = for_sums(self.fabric.device)
        names = sorted(collected[0][1])
        zero = torch.zeros((), dtype=torch.float64, device=device)
        counted = [(weight, stats) for weight, stats in collected if weight]
        means = [sum((weight * _scalar(stats[name], device) for weight, stats in counted), zero) for name in names]
        tail = [*extra.values(), float(self._received.number is not None)]
        values = torch.stack([*means, *(_scalar(value, device) for value in tail)])
        if self.world > 1:
            reduced = self.fabric.all_reduce(values, reduce_op="mean")
            assert isinstance(reduced, Tensor)  # as what it was given
            values = reduced
        *numbers, stop = values.tolist()
        return dict(zip([*names, *extra], numbers, strict=True)), stop > 0

    def _skip(self, means: dict[str, float]) -> None:
        state = self.state
        state.skipped += 1
        state.bad_in_row += 1
        where = f"epoch {state.epoch + 1}, step {state.step}"
        what = "loss" if not math.isfinite(means["loss"]) else "gradient"
        if state.bad_in_row > self.settings.max_bad_steps:
            raise UserError(
                f"the {what} was not finite for {state.bad_in_row} steps in a row, up to {where}. "
                "Try a smaller --optimizer.lr, --grad_clip 1, or --precision 32-true. "
                f"The last checkpoint is in {self.folder}."
            )
        if self.is_first:
            logger.warning("%s not finite at %s: step skipped (%d skipped so far).", what, where, state.skipped)

    def _finish_epoch(self) -> None:
        s, state, number = self.settings, self.state, self.state.epoch + 1
        line: dict[str, Any] = {
            "epoch": number,
            "step": self.global_step,
            "train": state.averages.means(),
            "seconds": state.seconds,
            "skipped": state.skipped,
        }
        validation = None
        held_out = self.task.val_data
        if held_out is not None and (number % s.val_every == 0 or number == s.epochs):
            validation = validate(self.fabric, self.task, held_out, s, self._received)
            if validation is None:  # the epoch stays open, and a resumed run begins with its validation
                self.stop_signal = self._received.number
                return
            line["val"] = validation
        self._log.scalars("epoch/train", line["train"], number)
        self._log.scalars("epoch/val", validation or {}, number)
        state.end_epoch(line)
        self._save(best=validation is not None and state.improves(validation, self.task))
        self._log.epochs(state.history)
        brief = "".join(f" | {part}: {_brief(line[part])}" for part in ("train", "val") if part in line)
        self._say(f"epoch {number}/{s.epochs}{brief}")

    # --- checkpoints

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other trainings out of the folder."""

        def refuse() -> None:
            raise UserError(f"another process is training in {self.folder}. Wait for it, or choose another --run_name.")

        with contextlib.ExitStack() as stack:
            if self.is_first:
                with writing(self.folder, "choose another --workspace"):
                    self.folder.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(locked(self.folder / ".lock", when_taken=refuse))
                remove_abandoned(self.folder)
            yield

    def _save(self, best: bool = False) -> None:
        """Write last.pth, and before it best.pth if it is the best: a process that dies in between does both again."""
        self._saved_at = time.monotonic()
        if not self.is_first:
            return
        content = {
            "model": self.model.state_dict(),
            "optimizer": self._raw_optimizer.state_dict(),
            "scaler": dict(self.fabric.strategy.precision.state_dict()),
            **self.state.to_plain(),
            "settings": to_plain(self.settings),
            "versions": library_versions(),
        }
        last, previous = self.folder / "last.pth", self.folder / "previous.pth"
        if best:
            save_checkpoint(self.folder / "best.pth", content)
            link_checkpoint(self.folder / "best.pth", last, previous)
        else:
            save_checkpoint(last, content, previous)

    def _resume(self) -> None:
        found = read_latest(self.folder)
        if found is None:
            return
        path, content = found
        check_same_settings(self.settings, content["settings"], path)
        load_weights(self.model, content["model"], path)
        load_optimizer(self._raw_optimizer, content["optimizer"], path)
        load_scaler(self.fabric.strategy.precision, content["scaler"], path)
        self.state = TrainingState.from_plain(content)
        self._say(f"continuing from {path}: epoch {self.state.epoch + 1}, step {self.state.step}")

    # --- messages

    def _remaining(self) -> str:
        done = self.global_step - self._session_first
        left = self.settings.epochs * self.settings.steps_per_epoch - self.global_step
        return tqdm.format_interval(left * (time.monotonic() - self._session_start) / max(done, 1))

    def _say(self, text: str) -> None:
        if self.is_first:
            tqdm.write(text)


def _scalar(value: float | Tensor, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(device).to(torch.float64).reshape(())  # in this order: not every device has float64
    return torch.tensor(value, dtype=torch.float64, device=device)


def _brief(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name != "lr")
