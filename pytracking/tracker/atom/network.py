"""The networks of a tracker, ready for inference: backbone, classification layer and box head."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from ltr.common.device import upload
from ltr.common.errors import UserError
from ltr.models.backbone import STRIDES, Backbone
from ltr.models.bbreg import FrozenBoxNet, load_atom_net
from ltr.models.inference import optimize_for_inference
from ltr.ops.cuda_graphs import Captured
from pytracking.tracker.atom.settings import AtomSettings
from pytracking.tracker.network_files import network_file

_FEW = 16
"""Patches for which a GPU waits for Python. The many of a first frame keep it busy, and need no CUDA graph."""


class TrackerNetwork(NamedTuple):
    """The networks of one or more trackers, which never change them.

    Attributes:
        backbone: from images to features.
        classification: the backbone's classification layer, on its features of stride 16; None if it has none.
        head: the box network.
        scale, shift: (3,), take pixels, from 0 to 255, to the backbone's input.
    """

    backbone: Backbone
    classification: nn.Module | None
    head: FrozenBoxNet
    scale: Tensor
    shift: Tensor

    def features(self, patches: np.ndarray, classification: bool) -> dict[str, Tensor]:
        """The backbone's features of patches, uint8 (N, S, S, 3), and, if wanted, the classification layer's."""
        pixels = upload(torch.from_numpy(patches), self.scale.device)
        compute = _features if len(patches) <= _FEW else _features.function
        maps = compute(pixels, network=self, classification=classification)
        return dict(zip((*STRIDES, "classification"), maps, strict=False))


@Captured
def _features(pixels: Tensor, network: TrackerNetwork, classification: bool) -> tuple[Tensor, ...]:
    """The features of pixels, uint8 (N, S, S, 3): strides 8 and 16, and, if wanted, the classification layer's."""
    colours = pixels.flatten(2).float()  # (N, S, 3 S): the normalisation repeats along the last dimension
    side = pixels.shape[2]
    images = torch.addcmul(network.shift.repeat(side), colours, network.scale.repeat(side))
    images = images.view(pixels.shape).permute(0, 3, 1, 2)

    def maps(images: Tensor) -> tuple[Tensor, ...]:
        features = network.backbone.extract(images)
        levels = tuple(features[level] for level in STRIDES)
        if classification and network.classification is not None:
            return (*levels, network.classification(features["stride16"]))
        return levels

    # On a CPU one image after the other: what passes between the layers has to stay in the cache.
    parts = [maps(part) for part in (images.split(1) if images.device.type == "cpu" else [images])]
    return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))


def tracker_network(settings: AtomSettings, device: torch.device) -> TrackerNetwork:
    """The networks that the settings name, shared by all trackers of this process that use them.

    Raises:
        UserError: if there is no such network or it cannot be loaded, or the backbone lacks a classification layer that
            the classifier learns on.
    """
    file = network_file(settings.network)
    network = _load(file, file.stat().st_mtime_ns, settings.backbone, settings.backbone_weights, device)
    if settings.classifier.layer == "classification" and network.classification is None:
        raise UserError(
            f"the backbone {settings.backbone} has no classification layer; use --classifier.layer stride16"
        )
    return network


@lru_cache(maxsize=4)
def _load(
    file: Path, written: int, backbone: str, backbone_weights: Path | None, device: torch.device
) -> TrackerNetwork:
    """Load the networks. `written`, the file's modification time, keeps the cache from returning an older content."""
    net = load_atom_net(file, backbone_weights, backbone).to(device)
    extractor = net.feature_extractor
    classification = extractor.classification_layer(backbone_weights)
    if classification is not None:
        classification = optimize_for_inference(classification.to(device))
    scale = (1 / (255 * extractor.std)).flatten()
    shift = -(extractor.mean / extractor.std).flatten()
    head = FrozenBoxNet(net.bb_regressor)
    optimized = cast(Backbone, optimize_for_inference(extractor))
    return TrackerNetwork(optimized, classification, head, scale, shift)
