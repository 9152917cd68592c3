"""Settings that every training shares, as typed data; and what saved settings mean today.

Every field can be given on the command line of `ebm-train` (`--batch_size 16 --optimizer.lr 5e-4`). Fields made with
:func:`run_field` say how a run is carried out (where, how fast, how chatty) and may differ when a run is resumed; all
others say what is trained and may not. A field that was renamed is made with :func:`renamed_field`, so that checkpoints
of earlier versions can still be resumed and evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ltr.common.device import DeviceChoice
from ltr.common.plain import to_plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
_RUN = "belongs to the run"
_FORMERLY = "former name"


def run_field(default: Any = dataclasses.MISSING, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """A dataclass field that may differ between a checkpoint and the run that resumes it: paths, workers, intervals."""
    if default_factory is not None:
        return field(default_factory=default_factory, metadata={_RUN: True})
    return field(default=default, metadata={_RUN: True})


def renamed_field(formerly: str, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that settings saved by earlier versions have under the name `formerly`."""
    return field(default=default, metadata={_FORMERLY: formerly})


@dataclass
class OptimizerSettings:
    """The optimiser of `actor.trainable_parameters()`."""

    kind: Literal["adam", "sgd"] = "adam"
    """adam: D.1, E.2, F.2. sgd: detection, C.2."""
    lr: float = 1e-3
    """Base rate, paper D.1."""
    weight_decay: float = 0.0
    """The L2 term; PyTracking's ATOM has none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """adam: PyTorch's default, as in PyTracking."""
    momentum: float = 0.9
    """sgd: C.2."""


@dataclass
class ScheduleSettings:
    """The learning rate: a function of the position alone, so that checkpoints need no state of it."""

    kind: Literal["step", "multistep", "one_cycle"] = "step"
    """step: paper D.1. multistep: detection, C.2. one_cycle: for short budgets."""
    step_size: int = 15
    """step: epochs between two reductions, paper D.1."""
    gamma: float = 0.2
    """step and multistep: factor of a reduction; "by a factor of 5", paper D.1."""
    milestones: tuple[int, ...] = (40_000, 50_000)
    """multistep: optimiser steps of the reductions, C.2."""
    warmup_steps: int = 500
    """multistep: steps in which the rate rises linearly from lr / 3 to lr, C.2."""
    warmup: float = 0.3
    """one_cycle: fraction of all steps in which the rate rises from lr / 25 to lr."""


@dataclass
class TrainSettings:
    """The settings of every training. Defaults: the paper's tracker (D.1), and PyTracking's ATOM where D.1 cites it."""

    seed: int = 0
    """Decides initial weights, samples, augmentation and proposals."""
    epochs: int = 50
    """Paper D.1."""
    samples_per_epoch: int = 64000
    """PyTracking: 1000 iterations of 64."""
    batch_size: int = 64
    """Samples of one optimiser step, all processes and accumulated parts together. PyTracking: 64."""
    drop_last: bool = True
    """Whether the last batch of an epoch is left out if it is incomplete (PyTracking: yes)."""
    accumulate: int = run_field(1)
    """Parts into which each process cuts its share of a batch if memory is short; the optimiser still gets the whole
    batch."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    grad_clip: float | None = None
    """Largest norm of the whole gradient; PyTracking has no limit."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """32-true is the paper's; mixed precision computes the layers in half precision, and boxes and labels exactly."""
    device: DeviceChoice = run_field("auto")
    """auto: cuda if there is one, else cpu; mps, Apple's GPU, only if you ask for it."""
    workers: int = run_field(4)
    """Loader processes per training process; 0 loads in the training process."""
    val_every: int = run_field(5)
    """Epochs between two validations (the last epoch always has one); PyTracking: 5."""
    max_bad_steps: int = run_field(20)
    """Steps in a row without a finite loss and gradient before the run stops."""
    checkpoint_minutes: float = run_field(5.0)
    """Minutes between two checkpoints within an epoch; 0: after every step."""
    timeout_minutes: float = run_field(10.0)
    """Minutes that the processes of one training wait for one another in a step, before they give up."""
    log_every: int = run_field(20)
    """Steps between two TensorBoard points."""
    workspace: Path | None = run_field(None)
    """Root of checkpoints and logs; default: the workspace of the environment."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        complete, left = divmod(self.samples_per_epoch, self.batch_size)
        return complete + (left > 0 and not self.drop_last)


def with_current_names(settings: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Saved settings, as plain data, with renamed fields under the names that they have in `settings` today."""
    former = {f.metadata[_FORMERLY]: f.name for f in dataclasses.fields(settings) if _FORMERLY in f.metadata}
    current = {}
    for saved_name, value in saved.items():
        name = former.get(saved_name, saved_name)
        part = getattr(settings, name, None)
        nested = dataclasses.is_dataclass(part) and isinstance(value, dict)
        current[name] = with_current_names(part, value) if nested else value
    return current


def restored(settings: S, saved: dict[str, Any]) -> S:
    """A copy of settings with the values that :func:`ltr.common.plain.to_plain` saved of others.

    Raises:
        KeyError: if `saved` has a name that `settings` does not have.
        TypeError: if a value is of another type than the setting.
    """
    fields = {f.name: f for f in dataclasses.fields(settings)}
    if not isinstance(saved, dict):
        raise TypeError(f"settings are names with values, not {saved!r}")
    values = with_current_names(settings, saved)
    for name, value in values.items():
        if name not in fields:
            raise KeyError(f"unknown setting {name}")
        now = getattr(settings, name)
        if dataclasses.is_dataclass(now) and not isinstance(now, type):
            values[name] = restored(now, value)
        else:
            values[name] = _of_type(now, value, fields[name])
    return dataclasses.replace(settings, **values)


def _of_type(now: Any, value: Any, of: dataclasses.Field) -> Any:
    """A value as `to_plain` saved it, as the setting has it, whose present value is `now`."""
    declared = str(of.type)
    if isinstance(now, tuple) and isinstance(value, list):
        items = [_of_type(now[0], item, of) if now else item for item in value]
        return tuple(tuple(item) if isinstance(item, list) else item for item in items)
    if isinstance(now, tuple):
        raise TypeError(f"the setting {of.name} is a list, and cannot be {value!r}")
    if value is None and (now is None or "None" in declared):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(now, float) or isinstance(now, int) and not isinstance(now, bool) and "float" in declared:
        if value in ("inf", "-inf", "nan"):  # which JSON does not have
            return float(value)
        fits = number
    elif isinstance(now, bool):
        fits = isinstance(value, bool)
    elif isinstance(now, int):
        fits = number and isinstance(value, int)
    elif isinstance(now, str):
        fits = isinstance(value, str)
    else:
        fits = True  # what None stands for is not known
    if not fits:
        raise TypeError(f"the setting {of.name} cannot be {value!r}")
    return value


def differences(settings: Any, saved: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields that change the result and differ, as name -> (value saved, value now); without those of the run.

    A field that `saved` does not have counts as having its default.
    """
    found: dict[str, tuple[Any, Any]] = {}
    names = set()
    saved = with_current_names(settings, saved)
    for f in dataclasses.fields(settings):
        names.add(f.name)
        if f.metadata.get(_RUN):
            continue
        now, before = getattr(settings, f.name), saved.get(f.name)
        if dataclasses.is_dataclass(now) and isinstance(before, dict):
            found.update(differences(now, before, f"{prefix}{f.name}."))
        elif f.name not in saved:
            # the field is younger than the checkpoint: its default is what earlier versions did
            if now != _default(f):
                found[prefix + f.name] = ("not set", to_plain(now))
        elif to_plain(now) != before:
            found[prefix + f.name] = (before, to_plain(now))
    for name in saved.keys() - names:
        found[prefix + name] = (saved[name], "not set")
    return found


def _default(f: dataclasses.Field) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
