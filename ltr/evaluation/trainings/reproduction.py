"""The trainings of each of the paper's tables, and the table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ltr.common.environment import get_path
from ltr.evaluation.trainings.training import Training
from ltr.train_settings.registry import SYSTEMS, load_settings

_PARAMETER = {"atom": "default", "atom_star": "atom_star", "ebm": "ebm", "atom_resnet18": "default_resnet18",
              "atom_star_resnet18": "atom_star_resnet18", "ebm_resnet18": "ebm_resnet18"}  # fmt: skip


@dataclass(frozen=True)
class Reproduction:
    """A table of the paper.

    Attributes:
        module: of its systems, such as 'age'.
        what: the table.
        systems: that it has by default.
        evaluation: options of `ebm-evaluate` that make it; None if that command has no such table.
        rows: the systems of which at least one has to be trained for a table; all if empty.
    """

    module: str
    what: str
    systems: tuple[str, ...]
    evaluation: tuple[str, ...] | None
    rows: tuple[str, ...] = ()


def _regression(module: str, what: str) -> Reproduction:
    systems = tuple(SYSTEMS[module])
    return Reproduction(module, what, systems, ("--refine",), tuple(s for s in systems if s != "ebm"))


REPRODUCTIONS = {
    each.module: each
    for each in (
        _regression("age", "Table S4 (and 4): age on UTKFace"),
        Reproduction("bbreg", "the box predictors of Table 3's trackers", ("atom", "atom_star", "ebm"), None),
        Reproduction(
            "detection",
            "Table 2: the nine systems on a given Faster-RCNN",
            tuple(s for s in SYSTEMS["detection"] if s != "direct"),
            (),
        ),  # fmt: skip
        _regression("head_pose", "Table S6 (and 5): angles of heads"),
        Reproduction("toy", "Figure 2's densities", tuple(SYSTEMS["toy"]), ()),
    )
}


def plan(
    reproduction: Reproduction,
    systems: Sequence[str] | None,
    seeds: Sequence[int],
    label: str,
    settings_of: Callable[[str], Any],
) -> list[list[Training]]:
    """The trainings of a table, seed by seed, in rounds: what others start from comes first.

    Args:
        reproduction: the table.
        systems: their names; None for all of the table.
        seeds: of each system.
        label: stands in the names of runs between system and seed, if it is not empty.
        settings_of: makes a system's settings, apart from the seed.

    Raises:
        UserError: if data are missing.
    """
    module = reproduction.module
    settings = {system: settings_of(system) for system in dict.fromkeys(systems or reproduction.systems)}
    if module == "detection" and "direct" not in settings and _needs_base(*settings.values()):
        settings["direct"] = settings_of("direct")
    count_images(module, settings)
    runs = get_path("workspace", next(iter(settings.values())).workspace) / "checkpoints" / "ltr" / module

    def training(system: str, seed: int, **changes: Any) -> Training:
        folder = runs / "_".join([system, *[label] * bool(label), str(seed)])
        return Training(module, system, replace(settings[system], seed=seed, **changes), folder)

    first, second = [], []
    for seed in dict.fromkeys(seeds):
        base = {}
        if module == "detection" and "direct" in settings:
            first.append(training("direct", seed))
            base = {"base_weights": first[-1].weights}
        for system in settings:
            if module != "detection":
                second.append(training(system, seed))
            elif system != "direct":
                given = settings[system].base_weights is not None
                second.append(training(system, seed, **{} if given else base))
    return [each for each in (first, second) if each]


def results(reproduction: Reproduction, trained: Sequence[Training]) -> None:
    """Prints and writes the table of finished trainings; where there is no such command, how to measure them.

    Raises:
        UserError: as `ebm-evaluate` does.
    """
    rows = [training for training in trained if training.system in (reproduction.rows or training.system)]
    if not rows:
        if trained:
            print(f"no table yet: it has rows for {', '.join(reproduction.rows)}")
        return
    if reproduction.evaluation is None:
        print("run the trackers on a benchmark with these networks, and score them by ebm-analyse table --merge_runs:")
        for training in trained:
            network, seed = training.folder / "best.pth", training.settings.seed
            print(f"    ebm-track atom {_PARAMETER[training.system]} --network {network} --seed {seed} --runid {seed}")
        return
    s = trained[0].settings
    argv = [*reproduction.evaluation, "--runs", *(str(training.folder) for training in trained)]
    if reproduction.module != "toy":  # whose table takes no device
        argv += ["--device", s.device]
    if s.workspace is not None:
        argv += ["--workspace", str(s.workspace)]
    if reproduction.module == "detection" and s.data.root is not None:
        argv += ["--root", str(s.data.root)]
    importlib.import_module(f"ltr.evaluation.{reproduction.module}").main(argv)


def _needs_base(*settings: Any) -> bool:
    """Whether a detector starts from a Faster-RCNN of which there are no weights yet."""
    return any(s.base_weights is None and s.detector.base.name != "resnet50_fpn" for s in settings)


def count_images(module: str, settings: Mapping[str, Any]) -> None:
    """Puts the number of training images in the place of 0, as a training does, into the settings of each system.

    Raises:
        UserError: if data are missing.
    """
    lengths: dict[str, int] = {}
    for system, s in settings.items():
        read_images = load_settings(module, system).images
        if read_images is not None and not s.samples_per_epoch:
            key = repr(s.data)
            if key not in lengths:
                lengths[key] = len(read_images(s, "train"))
            s.samples_per_epoch = lengths[key]
