"""Step-lengths of a box network: mean IoU with the truth of boxes that it refines on held-out pairs (D.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ebm_common import Energy, ascend, elementwise_iou, rect_to_rel, rel_to_rect
from ltr.actors.bbreg import BBRegActor
from ltr.actors.held_out_refinement import ITERATIONS, mean_of_best, random_starts
from ltr.data.sampling import BoxPairs
from ltr.evaluation.line_log import LineLog
from ltr.evaluation.steps.by_workers import WHOLE, MeasuredLog, Part
from ltr.evaluation.steps.measured import Measured
from ltr.models.bbreg import BoxFeatures, FrozenBoxNet

_BATCH = 8


@dataclass(frozen=True)
class BoxClimb:
    """How boxes are refined, apart from the step-lengths: by plain ascent, as in the tracker.

    Attributes:
        space: 'relative' climbs in the relative parametrisation (ATOM*, EBM), 'pixel' in pixels, by steps in units of
            the box's sides (ATOM).
        iterations: T. ATOM 5, ATOM* and EBM 10.
        start_error: standard deviations of an error that the ten starts of a pair share: of the position, in
            sqrt(w h), and of the logarithms of the sides. Without it their mean is the truth, as in the validation of
            a training, and short steps are favoured; the tracker's starts share the errors of its last box.
    """

    space: Literal["relative", "pixel"] = "relative"
    iterations: int = ITERATIONS
    start_error: tuple[float, float] = (0.0, 0.0)


def measure_boxes(
    actor: BBRegActor,
    pairs: BoxPairs,
    points: Sequence[Sequence[float]],
    climb: BoxClimb,
    log: LineLog[Measured],
    name: str,
    workers: int = 0,
) -> list[Measured]:
    """The IoU, in percent, of the boxes of all pairs, refined with each of the steps (position, size).

    The network's features are computed once for all steps, and all steps have the same random starts.

    Args:
        actor: in evaluation mode.
        points: G step-lengths for (position, size).
        log: keeps what is measured, one result for eight pairs.
        name: of the pairs, for the progress bar and the log.
        workers: processes that load pairs.
    """
    measure_pairs(actor, pairs, points, climb, log, name, workers)
    return [log[item] for item in _items(pairs, name)]


@torch.no_grad()
def measure_pairs(
    actor: BBRegActor,
    pairs: BoxPairs,
    points: Sequence[Sequence[float]],
    climb: BoxClimb,
    log: MeasuredLog,
    name: str,
    workers: int = 0,
    part: Part = WHOLE,
) -> None:
    """Measures pairs that are not in the log yet, all of :func:`measure_boxes` or a part of them."""
    device = next(actor.net.parameters()).device
    head = FrozenBoxNet(actor.net.bb_regressor)
    steps = torch.tensor(points, dtype=torch.float32, device=device)[:, [0, 0, 1, 1]]
    items = dict(part.of(list(_items(pairs, name).items())))
    todo = {item: batch for item, batch in items.items() if item not in log}
    loader = DataLoader(pairs, batch_sampler=list(todo.values()), num_workers=workers)
    bar = tqdm(
        loader,
        desc=name,
        unit="batch",
        initial=len(items) - len(todo),
        total=len(items),
        disable=part.without_bar,
    )
    for item, batch in zip(todo, bar, strict=True):
        batch = {key: value.to(device) for key, value in batch.items()}
        generator = torch.Generator(device).manual_seed(items[item][0])
        box = batch["test_box"]
        first = _with_error(box, climb.start_error, generator)
        features = actor.encode(batch, first[:, 2:])
        starts = random_starts(first, generator)
        sums = torch.zeros(len(points), dtype=torch.float64)
        for k in range(len(box)):
            one = BoxFeatures(*(part[k : k + 1] for part in features))
            refined = _refined(head, one, starts[k], steps, climb)
            sums += _percent_iou(refined, box[k]).cpu()
        before = _percent_iou(starts, box[:, None]).mean(1).sum().item()
        log.append(Measured(item, len(box), round(before, 4), [round(value, 4) for value in sums.tolist()]))


@dataclass(frozen=True)
class PairMeasuring:
    """A box network and pairs in a worker. The attributes are arguments of :func:`measure_pairs`."""

    actor: BBRegActor
    sets: Mapping[str, BoxPairs]
    points: Sequence[Sequence[float]]
    climb: BoxClimb

    def measure(self, log: MeasuredLog, part: Part) -> None:
        """Measures a part of the pairs of each set."""
        for name, pairs in self.sets.items():
            measure_pairs(self.actor, pairs, self.points, self.climb, log, name, part=part)


def batch_count(sets: Mapping[str, BoxPairs]) -> int:
    """The number of batches that are measured."""
    return sum(len(_items(pairs, name)) for name, pairs in sets.items())


def _items(pairs: BoxPairs, name: str) -> dict[str, list[int]]:
    """Numbers of pairs that are measured together, by their key in the log."""
    return {f"{name} {k}": list(range(k, min(k + _BATCH, len(pairs)))) for k in range(0, len(pairs), _BATCH)}


def _refined(head: FrozenBoxNet, features: BoxFeatures, starts: Tensor, steps: Tensor, climb: BoxClimb) -> Tensor:
    """The tracker's box (G, 4) for each of G steps (G, 4), from starts (M, 4), in one image."""
    step = steps.repeat_interleave(len(starts), 0)[None]
    boxes = starts.repeat(len(steps), 1)[None]
    energy: Energy
    if climb.space == "relative":
        energy = head.relative_energy(features)
        result = ascend(energy, rect_to_rel(boxes, features.size), step, climb.iterations)
        ends = rel_to_rect(result.y, features.size)
    else:
        energy = head.pixel_energy(features)
        result = ascend(energy, boxes, lambda y: step * y[..., [2, 3, 2, 3]], climb.iterations)
        ends = result.y
    shape = (len(steps), len(starts))
    return mean_of_best(ends.view(*shape, 4), result.f.view(shape).nan_to_num(-torch.inf))


def _percent_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """IoU in percent, float64; boxes that a step has thrown out of all proportion overlap with nothing."""
    return 100 * elementwise_iou(boxes.double(), truth.double()).nan_to_num(0.0, 0.0, 0.0)


def _with_error(boxes: Tensor, error: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Boxes (B, 4) whose centres and sides are a little off."""
    if not any(error):
        return boxes
    noise = torch.randn(len(boxes), 4, device=boxes.device, generator=generator)
    side = boxes[:, 2:].prod(-1, keepdim=True).sqrt()
    size = boxes[:, 2:] * (error[1] * noise[:, 2:]).exp()
    center = boxes[:, :2] + boxes[:, 2:] / 2 + error[0] * side * noise[:, :2]
    return torch.cat([center - size / 2, size], dim=1)
