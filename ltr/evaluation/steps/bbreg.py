"""The search of `ebm-search-steps bbreg`: position and size step of a box network of the tracker (D.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.actors.bbreg import BBRegActor
from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.common.provenance import file_hash
from ltr.data.sampling import BoxPairs
from ltr.evaluation.steps.boxes import BoxClimb, PairMeasuring, batch_count, measure_boxes
from ltr.evaluation.steps.by_workers import Workers, measure_by_workers, workers
from ltr.evaluation.steps.grid import StepGrid, StepSearch
from ltr.evaluation.steps.measured import mean_of, measured_log, saying_how_to_continue
from ltr.evaluation.steps.output import write_search
from ltr.evaluation.steps.table import make_table
from ltr.models.bbreg import load_atom_net
from ltr.train_settings.bbreg.common import BBRegSettings, validation_pairs

FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of the system's own step-lengths: the default grid."""
_MEASURE = "mean IoU of refined boxes, %"


@dataclass(frozen=True)
class BoxSearch:
    """What `ebm-search-steps bbreg` is asked for.

    Attributes:
        system: a name of `ebm-train bbreg`.
        network: the file of a box network.
        climb: how boxes are refined.
        position, size: step-lengths to try; empty for the default grid.
        out: folder of the table; None for a folder in the workspace.
        jobs, cluster, gpus_per_worker: who measures, see :func:`ltr.evaluation.steps.by_workers.workers`.
    """

    system: str
    network: Path
    climb: BoxClimb
    position: Sequence[float]
    size: Sequence[float]
    out: Path | None
    jobs: int | None = None
    cluster: str | None = None
    gpus_per_worker: float | None = None


def box_actor(settings: BBRegSettings, network: Path) -> BBRegActor:
    """The actor of a trained box network, in evaluation mode.

    Raises:
        UserError: if it cannot be read, or does not fit the settings.
    """
    device = choose_device(settings.device)
    net = load_atom_net(network, settings.backbone_weights, settings.model.backbone).to(device).eval()
    return BBRegActor(net, settings.proposals, settings.loss, settings.refinement).eval()


@dataclass(frozen=True)
class MakePairMeasuring:
    """Loads a box network, and opens the held-out pairs, in a worker."""

    settings: BBRegSettings
    network: Path
    points: Sequence[Sequence[float]]
    climb: BoxClimb

    def __call__(self) -> tuple[PairMeasuring, None]:
        actor = box_actor(self.settings, self.network)
        return PairMeasuring(actor, validation_pairs(self.settings), self.points, self.climb), None


def default_climb(settings: BBRegSettings) -> tuple[BoxClimb, tuple[float, float]]:
    """The refinement of a system in the tracker, and its steps for (position, size) (D.2).

    ATOM, which is trained on perturbed boxes, climbs in pixels.
    """
    if settings.proposals.kind == "perturbation":
        return BoxClimb("pixel", 5), (1.0, 1.0)
    return BoxClimb(), settings.refinement.step


def search_boxes(actor: BBRegActor, settings: BBRegSettings, asked: BoxSearch) -> int:
    """Searches, prints and writes the table, and says how the tracker takes the choice; returns 0.

    Raises:
        UserError: if held-out pairs cannot be read, a value is out of range, or a folder cannot be written.
    """
    own = default_climb(settings)[1]
    grid = StepGrid.of(
        position=asked.position or [own[0] * factor for factor in FACTORS],
        size=asked.size or [own[1] * factor for factor in FACTORS],
    )
    if settings.data.val_samples < 1:
        raise UserError(f"--data.val_samples is {settings.data.val_samples}; it must be at least 1")
    out = asked.out or get_path("workspace", settings.workspace) / "step_search" / "bbreg"
    with saying_how_to_continue(), workers(asked, out) as how:
        search = _search(actor, settings, asked, grid, validation_pairs(settings), out / "measured", how)
    table = make_table(search, f"Steps of {asked.network.name}")
    climb = asked.climb
    error = "no error" if not any(climb.start_error) else "errors of {:g} and {:g}".format(*climb.start_error)
    table.notes += [
        f"{settings.data.val_samples} held-out pairs of each of {', '.join(search.parts)}; plain ascent in "
        f"{'pixels' if climb.space == 'pixel' else 'the relative parametrisation'}, T = {climb.iterations}, no decay; "
        f"the ten starts of a pair share {error}."
    ]
    best = search.best
    option = f"--refinement.step {best['position']:g} {best['size']:g}"
    write_search(search, table, out, asked.network.stem, [], asked, f"the tracker, with {option}")
    return 0


def _search(
    actor: BBRegActor,
    settings: BBRegSettings,
    asked: BoxSearch,
    grid: StepGrid,
    sets: Mapping[str, BoxPairs],
    log_path: Path,
    how: Workers | None,
) -> StepSearch:
    parts: dict[str, np.ndarray] = {}
    before: dict[str, float] = {}
    about = {
        "network": file_hash(asked.network),
        "settings": {**to_plain(settings), "workspace": None, "workers": None},
        "climb": to_plain(asked.climb),
    }
    with measured_log(log_path, grid.points(), about) as log:
        if how is not None:
            make = MakePairMeasuring(settings, asked.network.absolute(), grid.points(), asked.climb)
            measure_by_workers(make, log, batch_count(sets), asked.network.stem, *how)
        for name, pairs in sets.items():
            found = measure_boxes(actor, pairs, grid.points(), asked.climb, log, name, settings.workers)
            before[name], values = mean_of(found)
            parts[name] = values.reshape(grid.shape)
    return StepSearch(grid, parts, before, _MEASURE, higher_is_better=True)
