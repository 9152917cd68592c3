"""From the classifier's position to the box: gradient ascent on the box network (Section 4.2, Appendix D.2)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ebm_common import (
    Density2D,
    Energy,
    GaussianMixtureProposal,
    ImportanceSample,
    density_slice_2d,
    importance_sample,
    rect_to_rel,
    rel_to_rect,
)
from ltr.common.device import upload
from ltr.data.crops import Crop
from ltr.models.bbreg import BoxFeatures, FrozenBoxNet, Modulation
from pytracking.tracker.atom.settings import TrackerDensitySettings, TrackerRefinementSettings
from pytracking.tracker.atom.shared_steps import Ascent, Climbed, HeadPass
from pytracking.tracker.density import CornerDensity, TrackedBoxDensity

_ORDINARY = 0.75  # targets of at most this share of the largest aspect ratio leave later boxes enough room below it


@dataclass(frozen=True)
class RefinedBox:
    """The refined box, and the M boxes it was made from. All boxes are in image pixels.

    Attributes:
        box: float64 (4,), the mean of the best.
        score: mean of their scores.
        starts, ends: (M, 4) of all boxes that were refined.
        scores: (M,), f before the last step.
        best: indices of the boxes whose mean is the answer, best first.
        path: (T + 1, M, 4) from starts to ends, if it was asked for.
        path_scores: (T, M), f along the path, without its end.
    """

    box: np.ndarray
    score: float
    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    best: np.ndarray
    path: np.ndarray | None = None
    path_scores: np.ndarray | None = None


class BoxRefiner:
    """Refines boxes with a box network conditioned on the first frame.

    Args:
        head: the box network.
        modulation: of the first frame and its box.
        settings: of the gradient ascent.
        generator: source of the random starts, on the CPU.
        first_size: (w, h) of the first box, whose shape says how long and thin later boxes may be.

    Attributes:
        max_aspect_ratio: of refined boxes, in either direction. It is the settings' bound for all but long targets: if
            the first box itself has more than three quarters of it, it is twice the first box's ratio.
    """

    def __init__(
        self,
        head: FrozenBoxNet,
        modulation: Modulation,
        settings: TrackerRefinementSettings,
        generator: torch.Generator,
        first_size: np.ndarray,
    ):
        self.head = head
        self.modulation = modulation
        self.settings = settings
        self.generator = generator
        first = float(max(first_size) / min(first_size))
        bound = settings.max_aspect_ratio
        self.max_aspect_ratio = bound if first <= _ORDINARY * bound else max(bound, 2 * first)

    @torch.no_grad()
    def encode(self, features: dict[str, Tensor], crop: Crop, box: np.ndarray) -> BoxFeatures:
        """Features (1, C, H, W) of a frame, ready for :meth:`refine`; `box` is the unit of relative boxes."""
        step = self.head_pass(features, crop, box)
        return step.compute([step])[0]

    def head_pass(self, features: dict[str, Tensor], crop: Crop, box: np.ndarray) -> HeadPass:
        """What :meth:`encode` computes, to be computed."""
        size = torch.from_numpy(crop.to_patch(box)[None, 2:]).float()
        return HeadPass(self.head, self.modulation, features, upload(size, features["stride8"].device))

    def refine(self, features: BoxFeatures, crop: Crop, box: np.ndarray, path: bool = False) -> RefinedBox | None:
        """Climb from `box` (image pixels), with which the features were encoded, and random boxes around it; None if no
        box of reasonable shape is left."""
        ascent = self.ascent(features, crop, box, path)
        return self.finish(ascent, ascent.compute([ascent])[0], crop)

    def ascent(self, features: BoxFeatures, crop: Crop, box: np.ndarray, path: bool = False) -> Ascent:
        """The ascent of :meth:`refine`, to be computed; :meth:`finish` takes its result."""
        # On the CPU, for ten boxes: the starts are the same on every device, and no kernel is launched.
        start = torch.from_numpy(crop.to_patch(box)).float()
        starts, size = self._starts(start), start[None, 2:]
        first = rect_to_rel(starts, size) if self.settings.space == "relative" else starts
        return Ascent(self.head, self.settings, features, size, first[None], starts, path)

    def finish(self, ascent: Ascent, climbed: Climbed, crop: Crop) -> RefinedBox | None:
        """The refined box, from where the boxes have climbed to; see :meth:`refine`."""
        ends, scores = self._rect(climbed.y, ascent.size).double().numpy(), climbed.f.double().numpy()
        ends[:, 2:] = np.maximum(ends[:, 2:], 1)

        ratio = ends[:, 2] / ends[:, 3]
        valid = (ratio < self.max_aspect_ratio) & (ratio > 1 / self.max_aspect_ratio) & np.isfinite(ends).all(1)
        if not valid.any():
            return None
        top = np.flatnonzero(valid)[np.argsort(-scores[valid], kind="stable")[: self.settings.best]]
        return RefinedBox(
            crop.to_image(ends[top].mean(0)),
            float(scores[top].mean()),
            crop.to_image(ascent.starts.double().numpy()),
            crop.to_image(ends),
            scores,
            top,
            *(() if climbed.visited is None else self._path(ascent, climbed.visited, crop)),
        )

    def _rect(self, y: Tensor, size: Tensor) -> Tensor:
        """Boxes (..., 4) in the space of the ascent -> x, y, w, h in patch pixels."""
        return rel_to_rect(y, size) if self.settings.space == "relative" else y

    def _path(self, ascent: Ascent, y: Tensor, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
        """The visited boxes (T + 1, M, 4) in image pixels, and f (T, M) of all but the last."""
        energy = ascent.energy()
        f = energy(y[:-1].flatten(0, 1)[None]).view(y[:-1].shape[:2]) if len(y) > 1 else y.new_empty(0, y.shape[1])
        return crop.to_image(self._rect(y, ascent.features.size).cpu().double().numpy()), f.cpu().double().numpy()

    def _starts(self, box: Tensor) -> Tensor:
        """`box` (4,) and random ones around it: (M, 4)."""
        s = self.settings
        noise = (torch.rand(s.starts - 1, 4, generator=self.generator) - 0.5).to(box)
        side = box[2:].prod().sqrt()
        size = (box[2:] + s.size_noise * side * noise[:, 2:]).maximum(box[2:].min() / 3)
        center = box[:2] + box[2:] / 2 + s.position_noise * side * noise[:, :2]
        return torch.cat([box[None], torch.cat([center - size / 2, size], dim=1)])

    def density(
        self, features: BoxFeatures, crop: Crop, box: np.ndarray, settings: TrackerDensitySettings
    ) -> TrackedBoxDensity:
        """p(y | x) around `box` (4,), image pixels."""
        head_energy = self.head.relative_energy(features)

        def energy(y: Tensor) -> Tensor:
            return head_energy(y) / settings.temperature

        def to_rel(boxes: np.ndarray) -> Tensor:
            return rect_to_rel(torch.from_numpy(crop.to_patch(boxes)).to(features.size), features.size)

        center = to_rel(box[None])
        # A generator of its own, so that asking for the density does not change the following frames.
        generator = torch.Generator(center.device).manual_seed(self.generator.initial_seed())
        sample = importance_sample(
            energy, center, GaussianMixtureProposal(settings.sigmas), settings.num_samples, generator, chunk=512
        )
        boxes = crop.to_image(rel_to_rect(sample.y[0], features.size).cpu().double().numpy())
        return TrackedBoxDensity(
            box,
            self._corner(energy, features.size, crop, box, settings.num_cells),
            ImportanceSample(*(t.cpu().double() for t in (sample.y, sample.f, sample.log_weight, sample.log_z))),
            boxes,
            lambda others: energy(to_rel(others)[None])[0].cpu().double().numpy(),
        )

    def _corner(self, energy: Energy, size: Tensor, crop: Crop, box: np.ndarray, num_cells: int) -> CornerDensity:
        """The density of the top-right corner over a window of 1.5 boxes (Figure S2).

        Args:
            size: (1, 2), unit of the relative boxes that `energy` takes.
            num_cells: of the window, a side.
        """
        x, y, w, h = crop.to_patch(box)
        bottom = y + h

        def embed(corner: Tensor) -> Tensor:
            width, height = corner[:, 0] - x, bottom - corner[:, 1]
            inside = (width > 0) & (height > 0)
            rect = torch.stack([torch.full_like(width, x), corner[:, 1], width, height], dim=1)
            rel = rect_to_rel(torch.where(inside[:, None], rect, torch.ones_like(rect)), size)
            return torch.where(inside[:, None], rel, torch.full_like(rel, torch.nan))

        right = x + w
        window: Density2D = density_slice_2d(
            energy,
            embed,
            (right - 0.75 * w, right + 0.75 * w),
            (y - 0.75 * h, y + 0.75 * h),
            num_cells,
            chunk=512,
            like=size,
        )
        scale = crop.scale
        return CornerDensity(
            crop.x + scale * window.u.cpu().double().numpy(),
            crop.y + scale * window.v.cpu().double().numpy(),
            window.log_density.cpu().double().numpy().T - 2 * np.log(scale),
            (float(box[0]), float(box[1] + box[3])),
        )
