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
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ltr.common.device import for_sums
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.common.progress import progress_bar
from ltr.common.provenance import library_versions
from ltr.common.seeds import TRAINING_STREAM, seed_everything
from ltr.common.settings import TrainSettings
from ltr.data.loading import load_batches
from ltr.trainers.alike import check_same_data, check_same_programs
from ltr.trainers.checkpoint import load_optimizer, load_scaler, load_weights
from ltr.trainers.checks import check_same_settings, check_settings
from ltr.trainers.export import export_weights
from ltr.trainers.fabric import make_fabric, training_device
from ltr.trainers.log import Averages, TrainingLog
from ltr.trainers.numbering import Part, parts_of_step, size_of_step, train_batches
from ltr.trainers.processes import LostProcessError, Processes
from ltr.trainers.run_folder import RunFolder
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
        task: the actor and the data, built after :func:`seed_for_build`; or what builds them, which several processes
            call when they have found one another.
        folder: where checkpoints, logs and final weights go; made if missing.
        name: name of the exported file `{name}_final.safetensors`.

    Under torchrun every process makes its own Trainer with the same arguments. What a machine decides may differ, such
    as where its data are; `folder` may be one that all share, or one on each machine. An error of one ends all.

    Attributes:
        model: the network whose weights are saved.
        is_first: whether this is the first process, which alone writes and prints.
        stop_signal: the signal that ended the training; None if none did.

    Raises:
        UserError: if a setting is out of its range, the batch cannot be divided, there is no CUDA device, or the
            processes differ in their programs, settings or data.
    """

    def __init__(self, settings: TrainSettings, task: Task | Callable[[], Task], folder: Path, name: str) -> None:
        self.settings, self.folder, self.name = settings, Path(folder), name
        self.processes = processes = Processes(settings.timeout_minutes)
        self.world, self.rank, self.is_first = processes.world, processes.rank, processes.is_first
        with processes.together():
            device = training_device(settings, processes)
        check_same_programs(processes, settings, device)
        self.fabric = make_fabric(settings, processes, device)
        with processes.together():
            self.task = task() if callable(task) else task
            check_settings(settings, self.world)
        check_same_data(processes, settings, self.task)
        self._run_folder = RunFolder(self.folder, processes)

        actor = self.task.actor
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
        with self._run_folder.claimed():
            if restart:
                self._run_folder.clear()
            copies = f"; copies of its checkpoints are in {self.folder}" * self._run_folder.is_written_here
            me, first = self.processes.name, self.processes.names[0]
            self._say_elsewhere(f"{me} trains with {first}, which says what happens{copies}")
            self._resume()
            self._session_start = self._saved_at = time.monotonic()
            self._session_first = self._saved_step = self.global_step
            self._log = TrainingLog(self.folder, self.global_step, enabled=self.is_first)
            with contextlib.closing(self._log), self._received.listening(self._say):
                self._run()
            if self.stop_signal is None:
                path = self.folder / f"{self.name}_final.safetensors"
                with self.processes.together():
                    if self._run_folder.is_written_here:
                        export_weights(path, self.model, self.settings, self.state.epoch)
                self._say(f"trained for {self.state.epoch} epochs; weights in {path}")
                self._say_elsewhere(f"trained for {self.state.epoch} epochs")
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
            self._say(f"stopped at {self._where()}; saved {self.folder / 'last.pth'}")
            self._say("the same command continues from there")
            self._say_elsewhere(f"stopped at {self._where()}, with all others")

    def _train_epoch(self, batches: Iterator[Any]) -> None:
        s, state = self.settings, self.state
        self.module.train()
        window, window_start, window_samples = Averages(), time.monotonic(), 0.0
        title = f"epoch {state.epoch + 1}/{s.epochs}"
        with progress_bar(s.steps_per_epoch, title, "step", state.step, leave=False, show=self.is_first) as bar:
            started = time.monotonic()
            while parts := self._next_step(batches):
                stats = self._train_step(parts)
                state.step += 1
                now = time.monotonic()
                state.seconds, started = state.seconds + now - started, now
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

    def _next_step(self, batches: Iterator[Any]) -> list[tuple[Part, Any]]:
        """The parts of the next step and their batches; none if the epoch is over, or a signal ends the training.

        All processes agree on that, and save the state first if it is time for it.
        """
        s, step, parts, problem = self.settings, self.global_step, [], None
        within = self.state.step < s.steps_per_epoch
        try:
            if within and self._received.number is None:
                parts = [(part, next(batches)) for part in parts_of_step(s, self.world, self.rank, step)]
        except UserError as error:
            problem = error
        due = within and step > self._saved_step and time.monotonic() - self._saved_at >= 60 * s.checkpoint_minutes
        try:
            call = self.processes.roll_call(self._received.number, due, problem)
        except UserError as error:
            if step > self._session_first:
                self._save(alone=isinstance(error, LostProcessError))
            raise
        if call.save:
            self._save()
        self.stop_signal = call.stop
        return [] if call.stop is not None else parts

    def _train_step(self, parts: list[tuple[Part, Any]]) -> dict[str, float]:
        """One optimiser step at the present position; returns its statistics, averaged over parts and processes."""
        settings, step = self.settings, self.global_step
        lr = learning_rate(settings, step)
        for group in self._raw_optimizer.param_groups:
            group["lr"] = lr
        collected: list[tuple[float, dict[str, Any]]] = []
        for number, (part, batch) in enumerate(parts):
            seed_everything(settings.seed, TRAINING_STREAM, step, number, self.rank)
            weight = part.share * self.world  # gradients are averaged over the processes
            with (
                self.processes.connected(lambda: f"at {self._where()}"),
                self.fabric.no_backward_sync(self.module, enabled=number < len(parts) - 1),
            ):
                loss, stats = self._forward(batch)
                self.fabric.backward(loss * weight)
            collected.append((weight, {**stats, "loss": loss}))

        if self.fabric.device.type == "cuda":  # a process that has died is noticed here, and by NCCL only after minutes
            self.processes.roll_call(None)

        # with '16-mixed' the gradients are scaled, may overflow, and are checked by the scaler's own step
        scaled = settings.precision == "16-mixed"
        extra = {} if scaled else {"grad_norm": self._gradient_norm()}
        means = self._reduce(collected, extra)
        if math.isfinite(means["loss"]) and math.isfinite(means.get("grad_norm", 0.0)):
            if settings.grad_clip is not None:
                largest = settings.grad_clip
                self.fabric.clip_gradients(self.module, self.optimizer, max_norm=largest, error_if_nonfinite=False)
            self.optimizer.step()
            self.state.bad_in_row = 0
        else:
            self._skip(means)
        self.optimizer.zero_grad(set_to_none=True)
        return {**means, "lr": lr}

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        try:
            return self.module(self.fabric.to_device(batch))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                f"a part of the batch at {self._where()} has a single sample, of which batch normalisation has no "
                "statistics: take a larger --batch_size, a smaller --accumulate, fewer processes, or --drop_last True."
            ) from error

    def _reduce(self, collected: list[tuple[float, dict[str, Any]]], extra: dict[str, Any]) -> dict[str, float]:
        """Means over parts and processes."""
        device = for_sums(self.fabric.device)
        names = sorted(collected[0][1])
        zero = torch.zeros((), dtype=torch.float64, device=device)
        counted = [(weight, stats) for weight, stats in collected if weight]
        means = [sum((weight * _scalar(stats[name], device) for weight, stats in counted), zero) for name in names]
        values = torch.stack([*means, *(_scalar(value, device) for value in extra.values())]).cpu()
        return dict(zip([*names, *extra], self.processes.mean(values).tolist(), strict=True))

    def _skip(self, means: dict[str, float]) -> None:
        state = self.state
        state.skipped += 1
        state.bad_in_row += 1
        where = self._where()
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
            validation, self.stop_signal = validate(self.fabric, self.processes, self.task, held_out, s, self._received)
            if validation is None:  # the epoch stays open, and a resumed run begins with its validation
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

    def _save(self, best: bool = False, alone: bool = False) -> None:
        """Save the state, for which all processes come together; `alone`, if they do not any more, in the first."""
        self._saved_at, self._saved_step = time.monotonic(), self.global_step
        if alone:
            if self.is_first:
                self._run_folder.save(self._content(), best)
            return
        if self._run_folder.has_copies:
            self.processes.share_buffers(self.model)
        with self.processes.together():
            if self._run_folder.is_written_here:
                self._run_folder.save(self._content(), best)

    def _content(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self._raw_optimizer.state_dict(),
            "scaler": dict(self.fabric.strategy.precision.state_dict()),
            **self.state.to_plain(),
            "settings": to_plain(self.settings),
            "versions": library_versions(),
            "processes": self.world,
        }

    def _resume(self) -> None:
        found = self._run_folder.latest()
        if found is None:
            return
        path, name, content = found
        with self.processes.together():
            if self.is_first:
                check_same_settings(self.settings, content["settings"], path)
            load_weights(self.model, content["model"], path)
            load_optimizer(self._raw_optimizer, content["optimizer"], path)
            load_scaler(self.fabric.strategy.precision, content["scaler"], path)
        self.state = TrainingState.from_plain(content)
        self._say(f"continuing from {name}: {self._where()}")
        before = content.get("processes", self.world)
        if before != self.world:
            self._say(f"{before} processes trained it so far, now {self.world}: on the same samples, with other draws")

    # --- messages

    def _where(self) -> str:
        return f"epoch {self.state.epoch + 1}, step {self.state.step}"

    def _remaining(self) -> str:
        done = self.global_step - self._session_first
        left = self.settings.epochs * self.settings.steps_per_epoch - self.global_step
        return tqdm.format_interval(left * (time.monotonic() - self._session_start) / max(done, 1))

    def _say(self, text: str) -> None:
        if self.is_first:
            tqdm.write(text)

    def _say_elsewhere(self, text: str) -> None:
        """Print one line on every machine but the first."""
        if self.processes.is_first_of_machine and not self.is_first:
            print(text, flush=True)


def _scalar(value: float | Tensor, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(device).to(torch.float64).reshape(())  # in this order: not every device has float64
    return torch.tensor(value, dtype=torch.float64, device=device)


def _brief(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name != "lr")
