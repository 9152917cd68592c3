"""The tracker's networks on a device against the same, layer by layer, in float64 on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import cv2
import torch

from ebm_common import rect_to_rel
from ltr.dataset.generated import benchmark_scene
from ltr.models.bbreg import AtomNet, BoxFeatures, load_atom_net
from pytracking.check.results import Result, largest, relative_error, within
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.filter_problem import Samples
from pytracking.tracker.atom.network import TrackerNetwork, tracker_network
from pytracking.tracker.network_files import network_file

LIMIT = 1e-4
"""Largest error in float32, relative to the largest number of the result."""

PATCH, BOXES = 288, 10


def use_full_float32() -> None:
    """Multiply float32 in full in this process. By default PyTorch lets an NVIDIA GPU round the factors of convolutions
    to 10 bits (TF32), which is more than what is looked for here."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def run(device: str) -> Iterator[dict]:
    """The job: results as plain data."""
    use_full_float32()
    settings = tracker_settings("atom", "ebm")
    network = tracker_network(settings, torch.device(device))
    net = load_atom_net(network_file(settings.network), settings.backbone_weights, settings.backbone).double().eval()
    for result in compare(network, net, device):
        yield asdict(result)


@torch.no_grad()
def compare(network: TrackerNetwork, net: AtomNet, device: str) -> Iterator[Result]:
    """Backbone, box head, the energy with its gradient, and the classifier's products.

    Args:
        network: in float32 on the device.
        net: the same in float64 on the CPU.
    """
    patch = cv2.resize(benchmark_scene("rotation").render(0), (PATCH, PATCH))
    extractor, head = net.feature_extractor, net.bb_regressor.requires_grad_(False)
    images = torch.from_numpy(patch)[None].permute(0, 3, 1, 2).double() / 255
    exact = extractor.extract((images - extractor.mean) / extractor.std)
    found = network.features(patch[None], False)
    yield within(f"backbone, {device}", largest(relative_error(found[level], exact[level]) for level in exact), LIMIT)

    box = torch.tensor([[100.0, 110, 90, 70]])
    modulation = head.modulation(exact, box.double())
    encoded = head.encode(modulation, exact, box[:, 2:].double())
    single = {level: f.float().to(device) for level, f in exact.items()}
    of_device = network.head.modulation(single, box.to(device))
    same = network.head.encode(of_device, single, box[:, 2:].to(device))
    error = largest(relative_error(a, b) for a, b in zip(same[:2], encoded[:2], strict=True))
    yield within(f"convolutions of the box head, {device}", error, LIMIT)

    random = torch.Generator().manual_seed(0)
    boxes = box + 15 * torch.randn(1, BOXES, 4, generator=random)
    y = rect_to_rel(boxes, box[:, None, 2:])
    given = BoxFeatures(*(t.float().to(device) for t in encoded))
    f, gradient = network.head.relative_energy(given).value_and_grad(y.to(device))
    with torch.enable_grad():
        exact_y = y.double().requires_grad_()
        exact_f = head.energy(encoded, exact_y)
        (exact_gradient,) = torch.autograd.grad(exact_f.sum(), exact_y)
    yield within(f"energy of {BOXES} boxes, {device}", relative_error(f, exact_f.detach()), LIMIT)
    yield within(f"its gradient, {device}", relative_error(gradient, exact_gradient), LIMIT)

    features, kernel = exact["stride16"], 4
    weight = torch.randn(features.shape[1], kernel**2, generator=random, dtype=torch.float64)
    ours, theirs = Samples(features.float().to(device), kernel), Samples(features, kernel)
    response = theirs.correlate(weight)
    errors = [
        relative_error(ours.correlate(weight.float().to(device)), response),
        relative_error(ours.adjoint(response.float().to(device)), theirs.adjoint(response)),
    ]
    yield within(f"the classifier's products, {device}", largest(errors), LIMIT)
