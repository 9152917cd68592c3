"""The online tracker: the first frame, and then one frame after another. The package's docstring is the map.

The classifier finds the target's centre in a search region around the last position; ten boxes around it climb the box
network's output; the mean of the three best is the answer, and the classifier learns from it.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltr.common.device import usable_device
from ltr.data.crops import Crop
from ltr.data.sampling import PATCH
from ltr.models.backbone import STRIDES
from ltr.models.bbreg import BoxFeatures
from ltr.ops.team import team
from pytracking.tracker.atom.classifier import TargetClassifier
from pytracking.tracker.atom.first_frame import augmented_patches
from pytracking.tracker.atom.localization import Localization, localize
from pytracking.tracker.atom.network import tracker_network
from pytracking.tracker.atom.refinement import BoxRefiner
from pytracking.tracker.atom.search_region import SearchRegion
from pytracking.tracker.atom.settings import AtomSettings
from pytracking.tracker.atom.shared_steps import BackbonePass
from pytracking.tracker.atom.size_filter import SizeFilter
from pytracking.tracker.base import BaseTracker, TrackerOutput, check_first_box
from pytracking.tracker.density import TrackedBoxDensity
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap
from pytracking.tracker.given_image import check_image
from pytracking.tracker.together import Steps, run_alone

_CELL = STRIDES["stride16"]


class _Search(NamedTuple):
    """A crop in which the target was looked for, and what was found."""

    crop: Crop
    features: dict[str, Tensor]
    sample: Tensor
    scores: Tensor
    found: Localization


class Atom(BaseTracker):
    """The online tracker; the package's docstring says which file does what.

    Args:
        settings: which network, and every constant.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        seed: of all that is random in a sequence; each `initialize` starts from it again.

    Raises:
        UserError: if there is no such device or network, or the network cannot be loaded.
    """

    def __init__(self, settings: AtomSettings, device: str | torch.device | None = None, seed: int = 0):
        self.settings = settings.settled()
        self.device = usable_device(device)
        self.seed = seed
        self.network = tracker_network(settings, self.device)
        self._ready = False
        self._last_frame: tuple[BoxFeatures, Crop, np.ndarray] | None = None  # what a density is computed from

    @torch.no_grad()
    @team()
    def initialize(self, image: np.ndarray, box: np.ndarray) -> TrackerOutput:
        image = check_image(image)
        box = check_first_box(box, image)
        s = self.settings
        generator = torch.Generator().manual_seed(self.seed)
        self._size = box[2:].copy()
        self._center = box[:2] + box[2:] / 2
        self._frame = 1
        self._last_frame = None
        self._region = SearchRegion(s.search_area_scale, s.lost)
        self._filter = SizeFilter(self._size, s.size)

        crop = self._region.crop(self._center, self._size, image)
        patches = augmented_patches(
            image, tuple(self._center), crop.size, PATCH, s.first_frame, np.random.default_rng(self.seed)
        )
        features = self.network.features(np.stack([p.patch for p in patches]), self._learns_on_classification)
        first = {level: features[level][:1] for level in STRIDES}
        reference = torch.tensor(crop.to_patch(box)[None], dtype=torch.float32, device=self.device)
        head = self.network.head
        self.refiner = BoxRefiner(head, head.modulation(first, reference), s.refinement, generator, self._size)
        losses: list[Tensor] = []
        self.classifier = TargetClassifier(
            features[s.classifier.layer],
            np.array([p.center for p in patches]) / _CELL,
            self._size / crop.scale / _CELL,
            s.classifier,
            generator,
            s.first_frame.dropout_samples,
            s.first_frame.dropout,
            losses.append if self.observer else None,
        )
        self._ready = True
        self._report_losses(losses, "first frame")
        return TrackerOutput(box.copy(), 1.0)

    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        return run_alone(self.track_steps(image, density))

    def track_steps(self, image: np.ndarray, density: bool = False) -> Steps[TrackerOutput]:
        if not self._ready:
            raise RuntimeError("initialize the tracker with a first frame and box before it tracks")
        image = check_image(image)
        s = self.settings
        self._frame += 1

        # 1 to 4: search region, features, position in the score map, and whether the target is lost
        search = yield from self._search(self._region.crop(self._center, self._size, image), image)
        if search.found.flag == "not_found":
            part = self._region.elsewhere(self._center, self._size, image)
            if part is not None:
                other = yield from self._search(part, image, (self._center - (part.x, part.y)) / part.scale)
                search = search if other.found.flag == "not_found" else other
        crop, features, found = search.crop, search.features, search.found
        lost = found.flag == "not_found"
        self._region.update(lost)
        if self.observer:
            region = (crop.x, crop.y, crop.size, crop.size)
            self.observer(ScoreMap(search.scores.cpu().double().numpy(), region, s.localization.not_found))

        # 5, 6: refined box and filtered size
        refined = None
        offset = np.zeros(2) if lost else found.offset
        self._move_to(self._center + offset * crop.scale, image)  # also if lost: the image may be smaller than the last
        box = np.concatenate([self._center - self._size / 2, self._size])
        encoded = yield self.refiner.head_pass(features, crop, box)
        if not lost:
            ascent = self.refiner.ascent(encoded, crop, box, path=self.observer is not None)
            refined = self.refiner.finish(ascent, (yield ascent), crop)
        if refined is not None:
            shift = 0.5 * crop.scale if s.half_pixel_shift else 0.0
            self._size = self._limit_size(self._filter.update(self._size, refined.box[2:]), image)
            self._move_to(refined.box[:2] + refined.box[2:] / 2 + shift, image)
            if self.observer and refined.path is not None and refined.path_scores is not None:
                name = "energy" if s.predicts == "energy" else "predicted IoU"
                self.observer(RefinementPaths(refined.path, refined.path_scores, refined.best, name))

        # 7: the classifier learns
        hard = found.flag == "hard_negative"
        if (hard or found.flag == "normal") and crop.output == PATCH:  # all maps in the memory have one size
            center = (self._center - (crop.x, crop.y)) / crop.scale / _CELL
            self.classifier.remember(search.sample, center, hard)
        if hard or (self._frame - 1) % s.classifier.update_every == 0:
            losses: list[Tensor] = []
            self.classifier.update(losses.append if self.observer else None)
            self._report_losses(losses, "update")

        box = np.concatenate([self._center - self._size / 2, self._size])
        self._last_frame = encoded, crop, box
        return TrackerOutput(
            box,
            found.score,
            found.flag,
            self.density() if density else None,
            {"energy": refined.score if refined else None},
        )

    @torch.no_grad()
    @team()
    def density(self) -> TrackedBoxDensity | None:
        """See the base class; None too for a network that predicts an IoU, whose exponential is no density."""
        if self._last_frame is None or self.settings.predicts == "iou":
            return None
        return self.refiner.density(*self._last_frame, self.settings.density)

    def _search(self, crop: Crop, image: np.ndarray, last: np.ndarray | None = None) -> Steps[_Search]:
        """Look for the target in a crop; `last` is its last position in the patch, None for the middle."""
        s = self.settings
        features = yield BackbonePass(self.network, crop.extract(image), self._learns_on_classification)
        sample, scores = self.classifier.respond(features[s.classifier.layer])
        found = localize(scores, crop.output, self._size / crop.scale, s.localization, last)
        if not self._region.accepts(found.offset, found.score):
            found = replace(found, flag="not_found")
        return _Search(crop, features, sample, scores, found)

    def _report_losses(self, losses: list[Tensor], stage: str) -> None:
        if self.observer:
            self.observer(OptimizerLoss(torch.stack(losses).cpu().double().numpy(), stage))

    @property
    def _learns_on_classification(self) -> bool:
        return self.settings.classifier.layer == "classification"

    def _move_to(self, center: np.ndarray, image: np.ndarray) -> None:
        """Set the centre, keeping a share of the target inside the image."""
        limit = np.array([image.shape[1], image.shape[0]])
        margin = (self.settings.inside_ratio - 0.5) * self._size
        self._center = np.clip(center, np.minimum(margin, limit / 2), np.maximum(limit - margin, limit / 2))

    def _limit_size(self, size: np.ndarray, image: np.ndarray) -> np.ndarray:
        """At least a pixel, at most twice the image: the size must not grow or shrink without limit."""
        return np.clip(size, 1.0, 2.0 * np.array([image.shape[1], image.shape[0]]))
