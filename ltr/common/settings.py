"""Settings that every training shares, as typed data.

A system of the paper is a file `ltr/train_settings/<module>/<name>.py` with two functions:

* `settings()` returns an instance of a dataclass derived from :class:`TrainSettings`: the values of that system;
* `build(settings)` returns the :class:`ltr.trainers.task.Task` that they describe.

Every field can be given on the command line of `ltr/run_training.py` (`--batch_size 16 --optimizer.lr 5e-4`). Fields
made with :func:`free` say how a run is carried out (where, how fast, how chatty) and may differ when a run is resumed;
all others say what is trained and may not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ltr.common.plain import to_plain

_FREE = "free_on_resume"


def free(default: Any = dataclasses.MISSING, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """A dataclass field that may differ between a checkpoint and the run that resumes it: paths, workers, intervals."""
    if default_factory is not None:
        return field(default_factory=default_factory, metadata={_FREE: True})
    return field(default=default, metadata={_FREE: True})


@dataclass
class OptimizerSettings:
    """What changes `actor.trainable_parameters()`."""

    kind: Literal["adam", "sgd"] = "adam"  # adam: D.1, E.2, F.2. sgd: detection, C.2
    lr: float = 1e-3  # base rate, paper D.1
    weight_decay: float = 0.0  # L2 term of either; PyTracking's ATOM: none
    betas: tuple[float, float] = (0.9, 0.999)  # adam. PyTorch's default, as PyTracking
    momentum: float = 0.9  # sgd. C.2


@dataclass
class ScheduleSettings:
    """The learning rate as a function of the position alone, so that nothing of it needs saving."""

    kind: Literal["step", "multistep", "one_cycle"] = "step"
    """step: paper D.1. multistep: detection, C.2. one_cycle: for short budgets."""
    step_size: int = 15  # step: epochs between two reductions, paper D.1
    gamma: float = 0.2  # step and multistep: factor of a reduction; "by a factor of 5", paper D.1
    milestones: tuple[int, ...] = (40_000, 50_000)  # multistep: optimiser steps of the reductions, C.2
    warmup_steps: int = 500  # multistep: steps in which the rate rises linearly from lr / 3 to lr, C.2
    warmup: float = 0.3  # one_cycle: fraction of all steps in which the rate rises from lr / 25 to lr


@dataclass
class TrainSettings:
    """What every training has. Defaults: the paper's tracker (D.1), and PyTracking's ATOM where D.1 refers to it."""

    seed: int = 0  # decides initial weights, samples, augmentation and proposals
    epochs: int = 50  # paper D.1
    samples_per_epoch: int = 64000  # PyTracking: 1000 iterations of 64. An incomplete last batch is left out
    batch_size: int = 64  # samples of one optimiser step, all processes and accumulated parts together. PyTracking: 64
    accumulate: int = free(1)  # parts that a batch is cut into where memory is short: the batch stays the same
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    grad_clip: float | None = None  # largest norm of the whole gradient; PyTracking: none
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"  # as the paper
    device: Literal["auto", "cpu", "cuda"] = free("auto")  # auto: cuda where there is one
    workers: int = free(4)  # loader processes per training process; 0 loads in the training process
    val_every: int = free(5)  # epochs between two validations (the last epoch always has one); PyTracking: 5
    max_bad_steps: int = free(20)  # steps in a row without a finite loss and gradient before the run stops
    checkpoint_minutes: float = free(5.0)  # minutes between two checkpoints within an epoch; 0: after every step
    log_every: int = free(20)  # steps between two TensorBoard points
    workspace: Path | None = free(None)  # root of checkpoints and logs; default: the workspace of the environment

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return self.samples_per_epoch // self.batch_size


def _default(f: dataclasses.Field) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def differences(settings: Any, saved: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields that change the result and differ: name -> (value saved, value now); those of :func:`free` left out.

    A field that `saved` does not have counts as having its default.
    """
    found: dict[str, tuple[Any, Any]] = {}
    names = set()
    for f in dataclasses.fields(settings):
        names.add(f.name)
        if f.metadata.get(_FREE):
            continue
        now, before = getattr(settings, f.name), saved.get(f.name)
        if dataclasses.is_dataclass(now) and isinstance(before, dict):
            found.update(differences(now, before, f"{prefix}{f.name}."))
        elif f.name not in saved:
            # a field that is younger than the checkpoint: its default is what was done before there was a choice
            if now != _default(f):
                found[prefix + f.name] = ("not set", to_plain(now))
        elif to_plain(now) != before:
            found[prefix + f.name] = (before, to_plain(now))
    for name in saved.keys() - names:
        found[prefix + name] = (saved[name], "not set")
    return found
