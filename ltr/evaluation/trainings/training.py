"""One training of a table: what `ebm-train <module> <system>` does, as data that another process can be given."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import nn

from ltr.common.errors import UserError
from ltr.common.files import writing
from ltr.common.plain import from_json
from ltr.common.seeds import seed_for_build
from ltr.common.settings import differences
from ltr.evaluation.toy.report import PICTURE, write_report
from ltr.models.weights_file import read_safetensors
from ltr.train_settings.registry import load_settings
from ltr.trainers.task import Task
from ltr.trainers.trainer import Trainer

REPORTS: dict[str, Callable[[Path, str, nn.Module, Any], None]] = {"toy": write_report}
"""What follows a finished training of a module, given the run's folder, the system's name, its network and settings.

The first process calls it, also when a training that is complete already is started again.
"""
_REPORT_FILES = {"toy": PICTURE}  # the last file of each report


@dataclass(frozen=True)
class Training:
    """A training.

    Attributes:
        module: of ltr.train_settings, such as 'age'.
        system: its name there, such as 'ebm'.
        settings: a `TrainSettings` of the module's own type.
        folder: of the run.
    """

    module: str
    system: str
    settings: Any
    folder: Path

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @property
    def weights(self) -> Path:
        """The file that a finished training has written."""
        return self.folder / f"{self.system}_final.safetensors"

    @property
    def log(self) -> Path:
        """The file that has what the training prints, if :func:`train_with_log` does it."""
        return self.folder / "train.log"

    def is_finished(self) -> bool:
        """Whether its final weights are there, trained with these settings for at least as many epochs, and its report.

        Raises:
            UserError: if they were trained with other settings, or the file is damaged.
        """
        report = _REPORT_FILES.get(self.module) if self.module in REPORTS else None
        if not self.weights.is_file() or (report is not None and not (self.folder / report).is_file()):
            return False
        metadata, _ = read_safetensors(self.weights)
        try:
            found, epochs = differences(self.settings, from_json(metadata["settings"])), int(metadata["epochs"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{self.weights} does not say how it was trained; delete {self.folder}") from error
        longer = "epochs" in found and self.settings.schedule.kind != "one_cycle"
        if longer:  # the trainer continues it
            del found["epochs"]
        if found:
            listed = "; ".join(f"{name}: {before} there, {now} now" for name, (before, now) in sorted(found.items()))
            raise UserError(f"{self.folder} was trained with other settings ({listed})")
        return epochs >= self.settings.epochs

    def build(self) -> Task:
        """Its task, and with it the caches that trainings share.

        Raises:
            UserError: if settings do not fit each other, or data or weights are missing.
        """
        seed_for_build(self.settings.seed)
        return load_settings(self.module, self.system).build(self.settings)

    def train(self, restart: bool = False) -> Trainer:
        """Trains here, from the last checkpoint on; returns the trainer, whose `stop_signal` tells if it was stopped.

        Raises:
            UserError: as :class:`ltr.trainers.trainer.Trainer`.
        """
        trainer = Trainer(self.settings, self.build, self.folder, self.system)
        finished = trainer.train(restart=restart)
        if finished and self.module in REPORTS and trainer.is_first:
            REPORTS[self.module](self.folder, self.system, trainer.model, self.settings)
        return trainer


def train_with_log(training: Training, restart: bool = False) -> int | None:
    """Does a training, and appends what it prints to its log; returns the signal that stopped it, or None.

    Raises:
        UserError: as :meth:`Training.train`, or if the log cannot be written.
    """
    with _printing_to(training.log):
        return training.train(restart).stop_signal


def prepare_with_log(training: Training) -> None:
    """Builds a training's task, and with it the caches that trainings share; what it prints goes to its log."""
    with _printing_to(training.log):
        training.build()


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """A block whose output goes to the end of a file, that of compiled code too; its error stands there as well."""
    with writing(log, "choose another --workspace"):
        log.parent.mkdir(parents=True, exist_ok=True)
        file = open(log, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
    with file, contextlib.ExitStack() as stack:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(_give_back, saved, descriptor)
            os.dup2(file.fileno(), descriptor)
        stack.enter_context(contextlib.redirect_stdout(file))
        stack.enter_context(contextlib.redirect_stderr(file))
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        stack.callback(logging.getLogger().removeHandler, handler)
        print(f"--- {datetime.now():%Y-%m-%d %H:%M:%S}")
        try:
            yield
        except UserError as error:
            print(f"error: {error}")
            raise
        except Exception:
            traceback.print_exc()
            raise


def _give_back(saved: int, descriptor: int) -> None:
    sys.stdout.flush()
    os.dup2(saved, descriptor)
    os.close(saved)
