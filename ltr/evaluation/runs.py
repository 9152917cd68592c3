"""Finished trainings on disk: their systems, seeds, settings and networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ltr.actors.regression import BaselineActor, EnergyActor
from ltr.common.errors import UserError
from ltr.common.plain import from_json, to_plain
from ltr.common.settings import differences, restored
from ltr.models.weights_file import read_safetensors, state_dict_mismatch
from ltr.train_settings.registry import load_settings
from ltr.train_settings.regression import build_actor

_ENDING = "_final.safetensors"


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        weights: the file of its final weights.
        settings: its settings, a `TrainSettings` of the task's own type.
        epochs: its length.
    """

    weights: Path
    settings: Any
    epochs: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.weights.parent.name

    @property
    def system(self) -> str:
        """The system that was trained, such as 'ebm'."""
        return getattr(self.settings, "detector", self.settings).system

    @property
    def seed(self) -> int:
        """Its random seed."""
        return self.settings.seed

    def load(self, targets: int, device: torch.device) -> EnergyActor | BaselineActor:
        """The actor of a regression task with its trained network for D = `targets`, in evaluation mode.

        Raises:
            UserError: if the weights cannot be read or belong to another network.
        """
        _, state = read_safetensors(self.weights)
        if self.settings.bins.num_bins > sum(tensor.numel() for tensor in state.values()):  # before memory is taken
            raise UserError(f"{self.weights} does not fit the network of its settings: it has fewer numbers than bins")
        actor = build_actor(self.settings, targets, imagenet=False)
        own = actor.net.state_dict()
        problem = state_dict_mismatch(own, state)
        if problem:
            raise UserError(f"{self.weights} does not fit the network of its settings and {targets} targets: {problem}")
        actor.net.load_state_dict(state)
        return actor.to(device).eval()


def find_runs(task: str, folders: Sequence[Path], example: str = "direct_l2") -> tuple[list[TrainedRun], list[str]]:
    """Finished runs of a task, ordered by system and seed, and a sentence for each that cannot be used.

    Args:
        task: a module of ltr.train_settings, such as 'age'.
        folders: runs, or folders of runs.
        example: a system of the task, for the message that says how to train one.

    Raises:
        UserError: if a folder is missing.
    """
    runs: list[TrainedRun] = []
    problems: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"there is no folder {folder} of runs; name one by --runs, or train one: ebm-train {task} {example}"
            )
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
        for run in [folder] if _is_run(folder) else filter(_is_run, inside):
            try:
                runs.append(_read(task, run))
            except UserError as error:
                problems.append(f"skipped: {error}")
    return sorted(runs, key=lambda run: (run.system, run.seed, run.name)), problems


def check_alike(runs: Sequence[TrainedRun], own: Sequence[str] = ("system", "loss", "bins", "initial_scale")) -> None:
    """Checks that runs can share a table: that their settings agree, except for seeds and each system's own settings.

    Runs of one system may differ only in their seeds.

    Args:
        runs: at least one.
        own: settings in which systems may differ; 'a' includes 'a.b'. The default suits regression: data, encoder and
            schedule must agree.

    Raises:
        UserError: if two runs differ otherwise.
    """
    for run in runs:
        first = next(other for other in runs if other.system == run.system)
        _compare(first, run, ("seed",))
        _compare(runs[0], run, ("seed", *own))


def check_made_with(settings: Any, weights: Path) -> None:
    """Checks that a finished training had these settings.

    Args:
        settings: a `TrainSettings`.
        weights: the file of its final weights.

    Raises:
        UserError: if it had others, or the file cannot be read.
    """
    metadata, _ = read_safetensors(weights)
    try:
        found = differences(settings, dict(from_json(metadata["settings"])))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise UserError(f"{weights} does not say how it was trained: delete it to train anew") from None
    if found:
        name, (before, now) = min(found.items())
        raise UserError(
            f"{weights.parent} was trained with {name} {before}, and {now} is asked for: repeat the earlier value, "
            "choose another --workspace, or delete that folder"
        )


def _compare(first: TrainedRun, other: TrainedRun, may_differ: Sequence[str]) -> None:
    saved = to_plain(first.settings)
    different = {k: v for k, v in differences(other.settings, saved).items() if not _is_within(k, may_differ)}
    if different:
        name, (before, now) = min(different.items())
        raise UserError(
            f"the runs {first.name} and {other.name} cannot share a table: {name} is {before} in one and {now} in the "
            "other; name those that belong together by --runs FOLDER FOLDER ..."
        )


def _is_within(name: str, names: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)


def _is_run(folder: Path) -> bool:
    return any(folder.glob(f"*{_ENDING}")) or (folder / "last.pth").is_file()


def _read(task: str, folder: Path) -> TrainedRun:
    files = sorted(folder.glob(f"*{_ENDING}"))
    if len(files) != 1:
        problem = "has several final weights" if files else "is not finished; its training command continues it"
        raise UserError(f"{folder} {problem}")
    metadata, _ = read_safetensors(files[0])
    try:
        plain, epochs = from_json(metadata["settings"]), int(metadata["epochs"])
        settings = load_settings(task, plain.get("detector", plain)["system"]).settings()
        settings = restored(settings, plain)
    except (UserError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{files[0]} does not say how it was trained for '{task}' ({error!r})") from error
    return TrainedRun(files[0], settings, epochs)
