"""The online tracker: ATOM (Danelljan et al., CVPR 2019), its boxes refined by ATOM, ATOM* or the paper's EBM.

Frame by frame, the classifier finds the target's centre in a search region around the last position; ten boxes around
it climb the box network's output; the mean of the three best is the answer, and the classifier learns from it.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.data.crops import Crop
from ltr.data.sampling import PATCH
from ltr.models.backbone import STRIDES, Backbone
from ltr.models.bbreg import BoxFeatures, FrozenBoxNet, load_atom_net
from ltr.models.inference import optimize_for_inference
from pytracking.tracker.atom.classifier import TargetClassifier
from pytracking.tracker.atom.first_frame import augmented_patches
from pytracking.tracker.atom.localization import localize
from pytracking.tracker.atom.refinement import BoxRefiner
from pytracking.tracker.atom.search_region import SearchRegion
from pytracking.tracker.atom.settings import AtomSettings
from pytracking.tracker.atom.size_filter import SizeFilter
from pytracking.tracker.base import BaseTracker, TrackerOutput, check_first_box, check_image
from pytracking.tracker.density import TrackedBoxDensity
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap
from pytracking.tracker.networks import network_file

_CELL = STRIDES["stride16"]


class Atom(BaseTracker):
    """See the module.

    Args:
        settings: which network, and every constant.
        device: 'cpu', 'cuda', ...; None for a GPU where there is one.
        seed: of everything random in a sequence; each `initialize` starts from it anew.

    Raises:
        UserError: there is no such device or network, or the network cannot be loaded.
    """

    def __init__(self, settings: AtomSettings, device: str | torch.device | None = None, seed: int = 0):
        self.settings = settings
        self.device = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.seed = seed
        file = network_file(settings.network)
        written = file.stat().st_mtime_ns
        self.dtype = _dtype(settings.precision, self.device)
        self.network = _network(file, written, settings.backbone, settings.backbone_weights, self.device, self.dtype)
        if settings.classifier.layer == "classification" and self.network.classification is None:
            raise UserError(
                f"the backbone {settings.backbone} has no classification layer; use --classifier.layer stride16"
            )
        prior, early = settings.localization.motion_prior, settings.classifier.early_samples
        if not 0 <= prior <= 1:
            raise UserError(f"localization.motion_prior is {prior:g}: a share must lie between 0 and 1")
        if early is not None and early < 0:
            raise UserError(f"classifier.early_samples is {early}: give 0 or more, or None")
        self._ready = False
        self._seen: tuple[BoxFeatures, Crop, np.ndarray] | None = None

    @torch.no_grad()
    def initialize(self, image: np.ndarray, box: np.ndarray) -> TrackerOutput:
        image = check_image(image)
        box = check_first_box(box, image)
        s = self.settings
        generator = torch.Generator().manual_seed(self.seed)
        self._size = box[2:].copy()
        self._center = box[:2] + box[2:] / 2
        self._frame = 1
        self._seen = None
        self._region = SearchRegion(s.search_area_scale, s.lost)
        self._filter = SizeFilter(self._size, s.size)

        crop = self._region.crop(self._center, self._size, image)
        patches = augmented_patches(
            image, tuple(self._center), crop.size, PATCH, s.first_frame, np.random.default_rng(self.seed)
        )
        features = self._features(np.stack([p.patch for p in patches]))
        first = {level: features[level][:1] for level in STRIDES}
        reference = torch.tensor(crop.to_patch(box)[None], dtype=torch.float32, device=self.device)
        head = self.network.head
        self.refiner = BoxRefiner(head, head.modulation(first, reference), s.refinement, generator)
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
        self._tell_losses(losses, "first frame")
        return TrackerOutput(box.copy(), 1.0)

    @torch.no_grad()
    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        if not self._ready:
            raise RuntimeError("initialize the tracker with a first frame and box before it tracks")
        image = check_image(image)
        s = self.settings
        self._frame += 1

        crop = self._region.crop(self._center, self._size, image)
        features = self._features(crop.extract(image)[None])
        sample = self.classifier.prepare(features[s.classifier.layer])
        scores = self.classifier.scores(sample)
        found = localize(scores, crop.output, self._size / crop.scale, s.localization)
        if not self._region.accepts(found.offset, found.score):
            found = replace(found, flag="not_found")
        self._region.tell(found.flag != "not_found")
        if self.observer:
            region = (crop.x, crop.y, crop.size, crop.size)
            self.observer(ScoreMap(scores.double().cpu().numpy(), region, s.localization.not_found))

        refined = None
        offset = found.offset if found.flag != "not_found" else 0.0
        self._move_to(self._center + offset * crop.scale, image)  # even a lost one, since images may become smaller
        box = np.concatenate([self._center - self._size / 2, self._size])
        encoded = self.refiner.encode(features, crop, box)
        if found.flag != "not_found":
            refined = self.refiner.refine(encoded, crop, box, path=self.observer is not None)
        if refined is not None:
            shift = 0.5 * crop.scale if s.half_pixel_shift else 0.0
            self._size = self._limit_size(self._filter.update(self._size, refined.box[2:]), image)
            self._move_to(refined.box[:2] + refined.box[2:] / 2 + shift, image)
            if self.observer:
                name = "energy" if s.predicts == "energy" else "predicted IoU"
                self.observer(RefinementPaths(refined.path, refined.path_scores, refined.best, name))

        hard = found.flag == "hard_negative"
        if (hard or found.flag == "normal") and crop.output == PATCH:  # the memory holds maps of one size
            center = (self._center - (crop.x, crop.y)) / crop.scale / _CELL
            self.classifier.remember(sample, center, hard)
        if hard or (self._frame - 1) % s.classifier.update_every == 0:
            losses: list[Tensor] = []
            self.classifier.update(losses.append if self.observer else None)
            self._tell_losses(losses, "update")

        box = np.concatenate([self._center - self._size / 2, self._size])
        self._seen = encoded, crop, box
        return TrackerOutput(
            box,
            found.score,
            found.flag,
            self.density() if density else None,
            {"energy": refined.score if refined else None},
        )

    @torch.no_grad()
    def density(self) -> TrackedBoxDensity | None:
        """See the base class; None too for a network that predicts an IoU, whose exponential is no density."""
        if self._seen is None or self.settings.predicts == "iou":
            return None
        return self.refiner.density(*self._seen, self.settings.density)

    def _tell_losses(self, losses: list[Tensor], stage: str) -> None:
        if self.observer:
            self.observer(OptimizerLoss(torch.stack(losses).double().cpu().numpy(), stage))

    def _features(self, patches: np.ndarray) -> dict[str, Tensor]:
        """uint8 (N, S, S, 3) -> the backbone's features and, where it is wanted, the classification layer."""
        n = self.network
        pixels = torch.from_numpy(patches).to(self.device)
        colours = pixels.flatten(2).float()  # (N, S, 3 S): the normalisation repeats along the last dimension
        side = patches.shape[2]
        images = torch.addcmul(n.shift.repeat(side), colours, n.scale.repeat(side))
        images = images.view(pixels.shape).permute(0, 3, 1, 2).to(self.dtype)
        # On a CPU one after the other: what passes between the layers has to stay in the cache.
        parts = images.split(1) if self.device.type == "cpu" else [images]
        features = [self._extract(part) for part in parts]
        return features[0] if len(parts) == 1 else {k: torch.cat([f[k] for f in features]) for k in features[0]}

    def _extract(self, images: Tensor) -> dict[str, Tensor]:
        features = self.network.backbone.extract(images)
        if self.settings.classifier.layer == "classification":
            features["classification"] = self.network.classification(features["stride16"])
        return features

    def _move_to(self, center: np.ndarray, image: np.ndarray) -> None:
        """Set the centre, keeping a share of the target inside the image."""
        limit = np.array([image.shape[1], image.shape[0]])
        margin = (self.settings.inside_ratio - 0.5) * self._size
        self._center = np.clip(center, np.minimum(margin, limit / 2), np.maximum(limit - margin, limit / 2))

    def _limit_size(self, size: np.ndarray, image: np.ndarray) -> np.ndarray:
        """At least a pixel, at most twice the image: a lost target must not grow or shrink without end."""
        return np.clip(size, 1.0, 2.0 * np.array([image.shape[1], image.shape[0]]))


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where PyTorch was built without that kind of device
        reason = str(error).splitlines()[0]
        raise UserError(f"the device {str(name)!r} cannot be used ({reason}); choose another, such as cpu") from None
    return device


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "float16" and device.type == "cpu":
        raise UserError("--precision float16 needs a GPU; processors have bfloat16")
    return getattr(torch, precision)


class _Network(NamedTuple):
    """A network ready for inference. `scale` and `shift` (3,) take pixels, from 0 to 255, to its input;
    `classification` is None for a backbone without such a layer."""

    backbone: Backbone
    classification: nn.Module | None
    head: FrozenBoxNet
    scale: Tensor
    shift: Tensor


@lru_cache(maxsize=4)
def _network(
    file: Path, written: int, backbone: str, backbone_weights: Path | None, device: torch.device, dtype: torch.dtype
) -> _Network:
    """Shared by the trackers of a process: nothing changes it. `written`, when the file was, tells contents apart."""
    net = load_atom_net(file, backbone_weights, backbone).to(device)
    extractor = net.feature_extractor
    classification = extractor.classification_layer(backbone_weights)
    if classification is not None:
        classification = optimize_for_inference(classification.to(device), dtype)
    scale = (1 / (255 * extractor.std)).flatten()
    shift = -(extractor.mean / extractor.std).flatten()
    head = FrozenBoxNet(net.bb_regressor, dtype)
    return _Network(optimize_for_inference(extractor, dtype), classification, head, scale, shift)
