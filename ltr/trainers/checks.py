"""Settings that a training refuses: senseless numbers, and others than those of the checkpoint that it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings, differences


def check_settings(settings: TrainSettings, world: int) -> None:
    """Check numbers that would fail late or without a sentence; `world` is the number of processes.

    Raises:
        UserError: if a number is out of its range, or the batch cannot be divided.
    """
    s = settings
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
    if s.batch_size < world * s.accumulate:
        raise UserError(
            f"--batch_size {s.batch_size} cannot be divided into {world} processes times {s.accumulate} accumulated "
            f"parts: make it at least {world * s.accumulate}."
        )
    if s.drop_last and s.samples_per_epoch < s.batch_size:
        raise UserError(
            f"--samples_per_epoch {s.samples_per_epoch} is less than --batch_size {s.batch_size}: make the batch "
            "smaller, or give --drop_last False."
        )


def check_same_settings(settings: TrainSettings, saved: dict[str, Any], path: Path) -> None:
    """Check that a training is resumed with the settings of its checkpoint, which lie in `path`.

    More epochs are fine, since they only add steps at the end, unless the schedule is laid out over all of them.

    Raises:
        UserError: if a setting differs that decides what is trained.
    """
    found = differences(settings, saved)
    if "epochs" in found and settings.schedule.kind != "one_cycle":
        del found["epochs"]
    if found:
        listed = "; ".join(f"{name}: {before} there, {now} now" for name, (before, now) in sorted(found.items()))
        raise UserError(
            f"the settings differ from those of {path} ({listed}). Give the same settings to continue, "
            "--run_name NAME to train beside it, or --restart to delete it and start anew."
        )
