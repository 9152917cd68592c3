"""The parts of a frame that several targets can share: the backbone, the box head's convolutions, the gradient ascent.

The patches of N targets are one batch for the network. Their boxes are one batch for the box head, whose weights are
then read once in each step of the ascent and not N times.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ebm_common import ascend
from ltr.common.device import upload
from ltr.models.backbone import STRIDES
from ltr.models.bbreg import BoxEnergy, BoxFeatures, FrozenBoxNet, Modulation
from ltr.ops.cuda_graphs import Captured
from pytracking.tracker.atom.network import TrackerNetwork
from pytracking.tracker.atom.settings import TrackerRefinementSettings
from pytracking.tracker.together import SharedStep


@dataclass(frozen=True, eq=False)
class BackbonePass(SharedStep):
    """Features of a patch, uint8 (S, S, 3): the answer is a dict of (1, C, H, W), as `TrackerNetwork.features`."""

    stage = 0
    network: TrackerNetwork
    patch: np.ndarray
    classification: bool

    def key(self) -> Hashable:
        return id(self.network.backbone), self.patch.shape, self.classification

    @staticmethod
    def compute(steps: Sequence["BackbonePass"]) -> list[dict[str, Tensor]]:
        first = steps[0]
        features = first.network.features(np.stack([step.patch for step in steps]), first.classification)
        return [{level: f[k : k + 1] for level, f in features.items()} for k in range(len(steps))]


@dataclass(frozen=True, eq=False)
class HeadPass(SharedStep):
    """The box head's features of a frame, see :meth:`FrozenBoxNet.encode`; all of one target."""

    stage = 1
    head: FrozenBoxNet
    modulation: Modulation
    features: dict[str, Tensor]
    size: Tensor

    def key(self) -> Hashable:
        return id(self.head), self.features["stride8"].shape

    @staticmethod
    def compute(steps: Sequence["HeadPass"]) -> list[BoxFeatures]:
        first = steps[0]
        if len(steps) == 1:
            return [first.head.encode(first.modulation, first.features, first.size)]
        levels = {level: torch.cat([step.features[level] for step in steps]) for level in STRIDES}
        modulation = Modulation(*map(torch.cat, zip(*(step.modulation for step in steps), strict=True)))
        together = first.head.encode(modulation, levels, torch.cat([step.size for step in steps]))
        return [BoxFeatures(*(t[k : k + 1] for t in together)) for k in range(len(steps))]


class Climbed(NamedTuple):
    """What an ascent comes to.

    Attributes:
        y: (M, 4) the last boxes, on the CPU.
        f: (M,) before the last step, on the CPU.
        visited: (T + 1, M, 4) all boxes, the last ones included, on the network's device; None if they were not asked
            for.
    """

    y: Tensor
    f: Tensor
    visited: Tensor | None


@dataclass(frozen=True, eq=False)
class Ascent(SharedStep):
    """The gradient ascent of one target's boxes.

    Args:
        head: the box network.
        settings: of the ascent.
        features: of the target.
        size: (1, 2), that of the features, on the CPU.
        first: (1, M, 4), the boxes to start from, in the space of the settings, on the CPU.
        starts: (M, 4), the same in pixels of the patch.
        path: whether the visited boxes are asked for.
    """

    stage = 2
    head: FrozenBoxNet
    settings: TrackerRefinementSettings
    features: BoxFeatures
    size: Tensor
    first: Tensor
    starts: Tensor
    path: bool

    def key(self) -> Hashable:
        s = self.settings
        return id(self.head), s.space, s.iterations, s.step, self.first.shape, self.features.stride8.shape

    def energy(self) -> BoxEnergy:
        """f of boxes (1, M, 4) of this target, in the space of the ascent."""
        return _energy(self.head, self.settings.space, self.features)

    @staticmethod
    def compute(steps: Sequence["Ascent"]) -> list[Climbed]:
        s, features = steps[0].settings, steps[0].features
        if len(steps) > 1:
            features = BoxFeatures(*map(torch.cat, zip(*(step.features for step in steps), strict=True)))
        first = upload(torch.cat([step.first for step in steps]), features.size.device)
        head, path = steps[0].head, any(step.path for step in steps)
        reached, *visited = _climb(
            first, *features, head=head, space=s.space, iterations=s.iterations, step=tuple(s.step), path=path
        )
        reached = reached.cpu()  # a GPU is waited for here, and where the target was located
        return [
            Climbed(reached[k, :, :4], reached[k, :, 4], visited[0][:, k] if step.path else None)
            for k, step in enumerate(steps)
        ]


@Captured
def _climb(
    first: Tensor,
    *features: Tensor,
    head: FrozenBoxNet,
    space: str,
    iterations: int,
    step: tuple[float, float],
    path: bool,
) -> tuple[Tensor, ...]:
    """The last boxes with f before the last step, (B, M, 5), and with `path` all visited boxes, (T + 1, B, M, 4)."""
    factors = torch.cat([first.new_full((2,), length) for length in step])
    visited: list[Tensor] = []

    def step_length(y: Tensor) -> Tensor:
        if path:
            visited.append(y.clone())
        return factors if space == "relative" else factors * torch.cat([y[..., 2:]] * 2, dim=-1)

    result = ascend(_energy(head, space, BoxFeatures(*features)), first, step_length, iterations, score_final=False)
    reached = torch.cat([result.y, result.f[..., None]], dim=-1)
    return (reached, torch.stack([*visited, result.y])) if path else (reached,)


def _energy(head: FrozenBoxNet, space: str, features: BoxFeatures) -> BoxEnergy:
    return head.relative_energy(features) if space == "relative" else head.pixel_energy(features)
