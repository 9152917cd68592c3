"""The training loop: epochs of numbered samples, on one or many devices, resumable at any step.

A step is a function of the weights, the optimiser's state, the seed and the position (epoch, step) alone: samples are
numbered, the learning rate is computed, and all random generators are seeded anew before every step. So no random state
needs saving, and a run that was killed and resumed ends with the same weights as one that was not: bit for bit on the
CPU with the same number of threads, processes and accumulated parts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm

from ltr.common.device import choose_device
from ltr.common.errors import UserError
from ltr.common.files import write_atomically
from ltr.common.plain import to_plain
from ltr.common.seeds import seed_everything
from ltr.common.settings import OptimizerSettings, TrainSettings, differences
from ltr.data.batches import Collate, Reporting, checked
from ltr.trainers.checkpoint import CheckpointError, link_checkpoint, read_latest, remove_checkpoints, save_checkpoint
from ltr.trainers.log import Averages, TrainingLog
from ltr.trainers.task import Task

logger = logging.getLogger(__name__)

_TRAIN, _VALIDATE = 0, 1  # streams of random numbers; building has the stream 2
_BAR_SECONDS = 0.5 if os.isatty(2) else 30  # a log file needs fewer lines than a terminal


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Learning rate of optimiser step `step`, counted from 0 over the whole training.

    'step': lr * gamma^(epoch // step_size) (paper D.1). 'multistep': lr * gamma^(milestones reached), times what rises
    linearly from 1/3 to 1 over the first `warmup_steps` (paper C.2). 'one_cycle': half a cosine from lr/25 up to lr
    over the first `warmup` of all steps, then one down to lr/250000 at the last step; this is
    torch.optim.lr_scheduler.OneCycleLR without its cycle of momentum.
    """
    lr, schedule = settings.optimizer.lr, settings.schedule
    per_epoch = settings.samples_per_epoch // settings.batch_size
    if schedule.kind == "step":
        return lr * schedule.gamma ** (step // per_epoch // schedule.step_size)
    if schedule.kind == "multistep":
        warm = min(step / schedule.warmup_steps, 1) if schedule.warmup_steps else 1
        return lr * (1 + 2 * warm) / 3 * schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones)
    low, lowest, last = lr / 25, lr / 25e4, settings.epochs * per_epoch - 1
    top = schedule.warmup * (last + 1) - 1
    if step < top:
        start, end, fraction = low, lr, step / top
    else:
        start, end, fraction = lr, lowest, (step - top) / (last - top)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


class Trainer:
    """Trains one task in one folder.

    Args:
        settings: what to train and how.
        task: the actor and the data; build it after :func:`seed_for_build`.
        folder: where checkpoints, logs and final weights go; made if missing.
        name: name of the exported file `{name}_final.safetensors`.

    Under torchrun every process makes its own Trainer with the same arguments.

    Raises:
        UserError: the batch cannot be divided, or there is no CUDA device.
    """

    def __init__(self, settings: TrainSettings, task: Task, folder: Path, name: str) -> None:
        self.settings, self.task, self.folder, self.name = settings, task, Path(folder), name
        self.fabric = _make_fabric(settings)
        self.fabric.launch()
        self.world, self.rank = self.fabric.world_size, self.fabric.global_rank
        self.is_first = self.fabric.is_global_zero
        self._check_settings()

        actor = task.actor
        self.model = actor.checkpoint_model()
        parameters = list(actor.trainable_parameters())
        chosen = {id(p) for p in parameters}
        for parameter in actor.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        self._raw_optimizer = _make_optimizer(settings.optimizer, parameters)
        self.parameters = parameters
        self.module, self.optimizer = self.fabric.setup(actor, self._raw_optimizer)

        self.steps_per_epoch = settings.samples_per_epoch // settings.batch_size
        self.epoch = self.step = 0  # position: epochs done, steps of this epoch done
        self.skipped = self._bad_in_row = 0
        self.averages = Averages()
        self.history: list[dict[str, Any]] = []
        self.best: float | None = None
        self.seconds = 0.0  # time spent in the present epoch by all runs so far
        self._asked: int | None = None  # signal that this process received
        self.stop_signal: int | None = None  # signal on which all processes stop
        self._log: TrainingLog | None = None
        self._bar: tqdm | None = None

    # --- public

    @property
    def global_step(self) -> int:
        """Optimiser steps done since the start of the training."""
        return self.epoch * self.steps_per_epoch + self.step

    def train(self, restart: bool = False) -> bool:
        """Train from the folder's last checkpoint, or from the start, to the last epoch.

        Args:
            restart: delete the folder's checkpoints first.

        Returns:
            True when the training is complete and its weights exported; False when a signal (`stop_signal`) ended it
            after a step, with its state saved.

        Raises:
            UserError: another process trains in the folder, settings differ from the checkpoint's, a checkpoint cannot
                be read, the data fail, or the loss stays non-finite.
        """
        with _locked(self.folder) if self.is_first else contextlib.nullcontext():
            if restart and self.is_first:
                remove_checkpoints(self.folder)
            self.fabric.barrier()
            self._resume()
            self._session_start = self._saved_at = time.monotonic()
            self._session_first = self.global_step
            self._log = TrainingLog(self.folder, self.global_step, enabled=self.is_first)
            try:
                with self._signals():
                    self._run()
            finally:
                if self._bar is not None:
                    self._bar.close()
                self._log.close()
            if self.stop_signal is None and self.is_first:
                self._export()
            self.fabric.barrier()
        return self.stop_signal is None

    # --- the loop

    def _run(self) -> None:
        if self.epoch >= self.settings.epochs:
            self._say(f"already trained for {self.epoch} epochs")
            return
        with _iterating(self._train_loader()) as batches:
            while self.epoch < self.settings.epochs and self.stop_signal is None:
                self._train_epoch(batches)
                if self.stop_signal is None:
                    self._finish_epoch()
        if self.stop_signal is not None:
            self._save()
            self._say(f"stopped at epoch {self.epoch + 1}, step {self.step}; saved {self.folder / 'last.pth'}")
            self._say("the same command goes on from there")

    def _train_epoch(self, batches: Iterator[Any]) -> None:
        self.module.train()
        self._bar = tqdm(
            total=self.steps_per_epoch,
            initial=self.step,
            desc=f"epoch {self.epoch + 1}/{self.settings.epochs}",
            unit="step",
            leave=False,
            disable=not self.is_first,
            dynamic_ncols=True,
            mininterval=_BAR_SECONDS,
        )
        window, window_start, window_steps = Averages(), time.monotonic(), 0
        while self.step < self.steps_per_epoch and self.stop_signal is None:
            started = time.monotonic()
            stats = self._train_step(batches)
            self.step += 1
            self.seconds += time.monotonic() - started
            self.averages.add(stats)
            window.add(stats)
            window_steps += 1
            if self.global_step % self.settings.log_every == 0:
                images = window_steps * self.settings.batch_size / (time.monotonic() - window_start)
                self._log.scalars("train", window.means(), self.global_step)
                self._log.scalars("run", {"learning_rate": stats["lr"], "samples_per_second": images}, self.global_step)
                window, window_start, window_steps = Averages(), time.monotonic(), 0
            loss = self.averages.means()["loss"]
            self._bar.set_postfix_str(f"loss {loss:.4g}, all done in {self._remaining()}", refresh=False)
            self._bar.update()
            within = self.step < self.steps_per_epoch and self.stop_signal is None
            if within and time.monotonic() - self._saved_at >= 60 * self.settings.checkpoint_minutes:
                self._save()
        self._bar.close()

    def _train_step(self, batches: Iterator[Any]) -> dict[str, float]:
        """One optimiser step at the present position; returns its statistics, averaged over parts and processes."""
        settings, step, parts = self.settings, self.global_step, self.settings.accumulate
        lr = learning_rate(settings, step)
        for group in self._raw_optimizer.param_groups:
            group["lr"] = lr
        collected: list[dict[str, Any]] = []
        for part in range(parts):
            batch = self._next(batches)
            seed_everything(settings.seed, _TRAIN, step, part, self.rank)
            with self.fabric.no_backward_sync(self.module, enabled=part < parts - 1):
                loss, stats = self.module(self.fabric.to_device(batch))
                self.fabric.backward(loss / parts)
            collected.append({**stats, "loss": loss})

        # with '16-mixed' the gradients are scaled, may overflow, and are checked by the scaler's own step
        scaled = settings.precision == "16-mixed"
        extra = {} if scaled else {"grad_norm": self._gradient_norm()}
        means, stop = self._reduce(collected, extra)
        if math.isfinite(means["loss"]) and math.isfinite(means.get("grad_norm", 0.0)):
            if settings.grad_clip is not None:
                largest = settings.grad_clip
                self.fabric.clip_gradients(self.module, self.optimizer, max_norm=largest, error_if_nonfinite=False)
            self.optimizer.step()
            self._bad_in_row = 0
        else:
            self._skip(means)
        self.optimizer.zero_grad(set_to_none=True)
        if self.world == 1:
            self.stop_signal = self._asked
        elif stop:  # all processes stop after the same step
            self.stop_signal = self._asked or signal.SIGINT
        return {**means, "lr": lr}

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _reduce(self, collected: list[dict[str, Any]], extra: dict[str, Any]) -> tuple[dict[str, float], bool]:
        """Means over parts and processes, and whether any process was told to stop, in one exchange."""
        device = self.fabric.device
        names = sorted(collected[0])
        means = [sum(_number(stats[name], device) for stats in collected) / len(collected) for name in names]
        tail = [*extra.values(), float(self._asked is not None)]
        values = torch.stack([*means, *(_number(value, device) for value in tail)])
        if self.world > 1:
            values = self.fabric.all_reduce(values, reduce_op="mean")
        *numbers, stop = values.tolist()
        return dict(zip([*names, *extra], numbers, strict=True)), stop > 0

    def _skip(self, means: dict[str, float]) -> None:
        self.skipped += 1
        self._bad_in_row += 1
        where = f"epoch {self.epoch + 1}, step {self.step}"
        what = "loss" if not math.isfinite(means["loss"]) else "gradient"
        if self._bad_in_row > self.settings.max_bad_steps:
            raise UserError(
                f"the {what} was not finite for {self._bad_in_row} steps in a row, up to {where}. "
                "Try a smaller --optimizer.lr, --grad_clip 1, or --precision 32-true. "
                f"The last checkpoint is in {self.folder}."
            )
        if self.is_first:
            logger.warning("%s not finite at %s: step skipped (%d skipped so far).", what, where, self.skipped)

    def _finish_epoch(self) -> None:
        number = self.epoch + 1
        line: dict[str, Any] = {
            "epoch": number,
            "step": self.global_step,
            "train": self.averages.means(),
            "seconds": self.seconds,
            "skipped": self.skipped,
        }
        validation = None
        if self.task.val_data is not None and (number % self.settings.val_every == 0 or number == self.settings.epochs):
            validation = self._validate()
            if validation is None:  # interrupted: the epoch stays open, and going on begins with its validation
                return
            line["val"] = validation
        self._log.scalars("epoch/train", line["train"], number)
        self._log.scalars("epoch/val", validation or {}, number)
        self.history.append(line)
        self.epoch, self.step, self.averages, self.seconds = number, 0, Averages(), 0.0
        self._save(best=validation is not None and self._is_best(validation))
        self._log.epochs(self.history)
        brief = "".join(f" | {part}: {_brief(line[part])}" for part in ("train", "val") if part in line)
        self._say(f"epoch {number}/{self.settings.epochs}{brief}")

    def _is_best(self, validation: dict[str, float]) -> bool:
        value = validation.get(self.task.best, math.nan)
        if not math.isfinite(value):
            return False
        sign = 1 if self.task.best_mode == "max" else -1
        if self.best is not None and sign * value <= sign * self.best:
            return False
        self.best = value
        return True

    def _validate(self) -> dict[str, float] | None:
        """Statistics over the whole validation set, each sample counted once; None when a signal interrupted it."""
        if self.world > 1:  # batch-norm statistics differ between processes; those of the first are the ones saved
            for buffer in self.task.actor.buffers():
                torch.distributed.broadcast(buffer, src=0)
        self.module.eval()
        averages = Averages()
        loader, batches = self._val_loader()
        bar = tqdm(
            total=len(batches),
            desc="validation",
            unit="batch",
            leave=False,
            disable=not self.is_first,
            mininterval=_BAR_SECONDS,
        )
        # The raw actor: processes may have different numbers of batches, so nothing here may wait for the others.
        # no_grad and not inference_mode: an actor may refine, for which it turns gradients on.
        with bar, torch.no_grad(), self.fabric.autocast(), _iterating(loader) as loaded:
            for indices, batch in zip(batches, loaded, strict=True):
                seed_everything(self.settings.seed, _VALIDATE, indices[0])
                loss, stats = self.task.actor(self.fabric.to_device(checked(batch)))
                numbers = {name: float(value) for name, value in {**stats, "loss": loss}.items()}
                averages.add(numbers, weight=len(indices))
                bar.update()
                if self._asked is not None and self.world == 1:
                    self.stop_signal = self._asked
                    return None
        if self.world > 1:
            averages = self._gather(averages)
        return averages.means()

    def _gather(self, averages: Averages) -> Averages:
        # a process that had no sample has no names either: they come from the first, which has one
        names = self.fabric.broadcast(sorted(averages.sums), src=0)
        rows = [averages.sums.get(name, [0.0, 0.0]) for name in names]
        table = torch.tensor(rows, dtype=torch.float64, device=self.fabric.device)
        table = self.fabric.all_reduce(table, reduce_op="sum")
        return Averages(dict(zip(names, table.tolist(), strict=True)))

    # --- data

    def _train_loader(self) -> DataLoader:
        """All batches of this process from the present position to the last epoch; a batch is one accumulated part."""
        s = self.settings
        size = s.batch_size // (self.world * s.accumulate)

        def part_at(number: int) -> list[int]:
            step, part = divmod(number, s.accumulate)
            epoch, within = divmod(step, self.steps_per_epoch)
            first = epoch * s.samples_per_epoch + within * s.batch_size
            mine = range(first + self.rank, first + s.batch_size, self.world)
            return list(mine[part * size : (part + 1) * size])

        numbers = range(self.global_step * s.accumulate, s.epochs * self.steps_per_epoch * s.accumulate)
        return self._loader(self.task.train_data, _Lazy(part_at, numbers))

    def _val_loader(self) -> tuple[DataLoader, list[list[int]]]:
        size = max(1, self.settings.batch_size // (self.world * self.settings.accumulate))
        mine = range(self.rank, len(self.task.val_data), self.world)
        batches = [list(mine[i : i + size]) for i in range(0, len(mine), size)]
        return self._loader(self.task.val_data, batches), batches

    def _loader(self, data: Dataset, batches: Iterable[list[int]]) -> DataLoader:
        return DataLoader(
            Reporting(data),
            batch_sampler=batches,
            num_workers=self.settings.workers,
            collate_fn=Collate(self.task.collate or default_collate),
            pin_memory=self.fabric.device.type == "cuda",
            worker_init_fn=_worker_signals,
        )

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return checked(next(batches))
        except UserError:
            if (
                self.global_step > self._session_first
            ):  # parts accumulated so far are in the gradients, and are not saved
                self._save()
            raise

    # --- checkpoints

    def _save(self, best: bool = False) -> None:
        """Write last.pth, and before it best.pth if it is the best: a process that dies in between does both again."""
        self._saved_at = time.monotonic()
        if not self.is_first:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self._raw_optimizer.state_dict(),
            "scaler": dict(self.fabric.strategy.precision.state_dict()),
            "position": {"epoch": self.epoch, "step": self.step},
            "skipped": [self.skipped, self._bad_in_row],
            "averages": self.averages.sums,
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
            "settings": to_plain(self.settings),
            "versions": _versions(),
        }
        last, previous = self.folder / "last.pth", self.folder / "previous.pth"
        if best:
            save_checkpoint(self.folder / "best.pth", state)
            link_checkpoint(self.folder / "best.pth", last, previous)
        else:
            save_checkpoint(last, state, previous)

    def _resume(self) -> None:
        found = read_latest(self.folder)
        if found is None:
            return
        path, state = found
        self._compare_settings(path, state["settings"])
        _load_model(self.model, state["model"], path)
        try:
            self._raw_optimizer.load_state_dict(state["optimizer"])
        except (ValueError, KeyError) as error:
            raise CheckpointError(
                f"the optimiser's state in {path} does not fit this network ({error}): "
                "choose another --run_name, or start anew with --restart."
            ) from error
        if state["scaler"]:
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.epoch, self.step = state["position"]["epoch"], state["position"]["step"]
        self.skipped, self._bad_in_row = state["skipped"]
        self.averages = Averages(state["averages"])
        self.history, self.best, self.seconds = state["history"], state["best"], state["seconds"]
        self._say(f"going on from {path}: epoch {self.epoch + 1}, step {self.step}")

    def _compare_settings(self, path: Path, saved: dict[str, Any]) -> None:
        found = differences(self.settings, saved)
        # more epochs only add steps at the end, unless the schedule is laid out over all of them
        if "epochs" in found and self.settings.schedule.kind != "one_cycle":
            del found["epochs"]
        if found:
            listed = "; ".join(f"{name}: {before} there, {now} now" for name, (before, now) in sorted(found.items()))
            raise UserError(
                f"the settings differ from those of {path} ({listed}). Give the same settings to go on, "
                "--run_name NAME to train beside it, or --restart to delete it and start anew."
            )

    def _export(self) -> None:
        """Write the final weights as safetensors, with settings and versions as JSON in the header."""
        weights = {name: tensor.cpu().contiguous().clone() for name, tensor in self.model.state_dict().items()}
        about = {
            "settings": json.dumps(to_plain(self.settings)),
            "versions": json.dumps(_versions()),
            "epochs": str(self.epoch),
        }
        path = self.folder / f"{self.name}_final.safetensors"
        content = safetensors.torch.save(weights, about)
        write_atomically(path, lambda file: file.write(content))
        self._say(f"trained for {self.epoch} epochs; weights in {path}")

    # --- small things

    def _check_settings(self) -> None:
        s = self.settings
        for name in ("epochs", "samples_per_epoch", "batch_size", "accumulate", "val_every", "log_every"):
            if getattr(s, name) < 1:
                raise UserError(f"--{name} is {getattr(s, name)}; it must be at least 1.")
        if s.schedule.step_size < 1:
            raise UserError(f"--schedule.step_size is {s.schedule.step_size}; it must be at least 1.")
        if s.schedule.warmup_steps < 0:
            raise UserError(f"--schedule.warmup_steps is {s.schedule.warmup_steps}; it must be at least 0.")
        if not 0 <= s.schedule.warmup < 1:
            raise UserError(f"--schedule.warmup is {s.schedule.warmup}; it must be at least 0 and less than 1.")
        if s.workers < 0:
            raise UserError(f"--workers is {s.workers}; it must be at least 0.")
        if s.batch_size % (self.world * s.accumulate):
            raise UserError(
                f"--batch_size {s.batch_size} cannot be divided into {self.world} processes times {s.accumulate} "
                f"accumulated parts: make it a multiple of {self.world * s.accumulate}."
            )
        if s.samples_per_epoch < s.batch_size:
            raise UserError(f"--samples_per_epoch {s.samples_per_epoch} is less than --batch_size {s.batch_size}.")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM ends the training after the present step; a second one ends it at once."""
        before = {}

        def handle(number: int, frame: Any) -> None:
            self._asked = number
            signal.signal(number, before[number])
            self._say("stopping after this step; once more to stop at once")

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, handle)
        except ValueError:  # only the main thread may set handlers
            pass
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _remaining(self) -> str:
        done = self.global_step - self._session_first
        left = self.settings.epochs * self.steps_per_epoch - self.global_step
        return tqdm.format_interval(left * (time.monotonic() - self._session_start) / max(done, 1))

    def _say(self, text: str) -> None:
        if self.is_first:
            tqdm.write(text)


# --- helpers


def _make_optimizer(o: OptimizerSettings, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    if o.kind == "sgd":
        return torch.optim.SGD(parameters, lr=o.lr, weight_decay=o.weight_decay, momentum=o.momentum)
    return torch.optim.Adam(parameters, lr=o.lr, weight_decay=o.weight_decay, betas=tuple(o.betas))


def _make_fabric(settings: TrainSettings) -> Fabric:
    kind = choose_device(settings.device).type
    if settings.precision == "16-mixed" and kind == "cpu":
        raise UserError("--precision 16-mixed needs a CUDA device. Use bf16-mixed or 32-true.")
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    mixed = settings.precision != "32-true"
    return Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=None if mixed else settings.precision,
        plugins=[_ExactInputs(settings.precision, kind)] if mixed else None,
    )


class _ExactInputs(MixedPrecision):
    """Autocast of the layers only. Fabric's own makes the batch half precision too, and so rounds boxes and labels."""

    def convert_input(self, data: Any) -> Any:
        return data


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder; the system drops the lock when this process is killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}. Choose another --workspace.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another process is training in {folder}. Wait for it, or choose another --run_name."
            ) from error
        yield


def _load_model(model: torch.nn.Module, saved: dict[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    wrong = sorted(own.keys() ^ saved.keys())
    wrong += [name for name in own if name in saved and own[name].shape != saved[name].shape]
    if wrong:
        raise CheckpointError(
            f"{path} holds another network: {len(wrong)} tensors do not fit (the first is {wrong[0]}). "
            "Choose another --run_name, or start anew with --restart."
        )
    model.load_state_dict(saved)


class _Lazy:
    """The batches of a whole training, made one by one: a list of them would hold millions of numbers."""

    def __init__(self, make: Callable[[int], list[int]], numbers: range) -> None:
        self.make, self.numbers = make, numbers

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.make, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


@contextlib.contextmanager
def _iterating(loader: DataLoader) -> Iterator[Iterator[Any]]:
    """Iterate a loader, and end its processes however the iteration ends.

    Left to the garbage collector they may live until the interpreter exits, which then waits for them.
    """
    batches = iter(loader)
    try:
        yield batches
    finally:
        if loader.num_workers:
            batches._shutdown_workers()  # PyTorch has no public name for it


def _worker_signals(worker: int) -> None:
    """Terminals and torchrun signal whole groups of processes: loaders go when the training process wants them to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(15))  # time for the present step, then end


def _number(value: float | Tensor, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(device, torch.float64).reshape(())
    return torch.tensor(value, dtype=torch.float64, device=device)


def _brief(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items() if name != "lr")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    with contextlib.suppress(PackageNotFoundError):
        found["ebm-regression"] = version("ebm-regression")
    return found
