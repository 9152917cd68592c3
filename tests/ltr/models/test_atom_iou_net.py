"""The box network: PyTracking's parameters, an energy that is differentiable in the box, images that do not mix."""

import torch
from torch import nn

from ebm_common import rect_to_rel
from ltr.models.bbreg import RESNET18, AtomIoUNet, AtomNet, AtomNetConfig
from tests.helpers.box_nets import levels, small_net

# AtomIoUNet on ResNet-18, layer by layer as PyTracking has it: inputs, outputs, kernel
CONVOLUTIONS = {
    "conv3_1r": (128, 128, 3),
    "conv3_1t": (128, 256, 3),
    "conv3_2t": (256, 256, 3),
    "fc3_1r": (128, 256, 3),
    "conv4_1r": (256, 256, 3),
    "conv4_1t": (256, 256, 3),
    "conv4_2t": (256, 256, 3),
    "fc34_3r": (512, 256, 1),
    "fc34_4r": (512, 256, 1),
}
LINEARS = {"fc3_rt": (256 * 25, 256), "fc4_rt": (256 * 9, 256)}


def pytracking_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"iou_predictor.weight": (1, 512), "iou_predictor.bias": (1,)}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    for name, (inputs, outputs, kernel) in CONVOLUTIONS.items():
        shapes[f"{name}.0.weight"], shapes[f"{name}.0.bias"] = (outputs, inputs, kernel, kernel), (outputs,)
        norm(f"{name}.1", outputs)
    for name, (inputs, outputs) in LINEARS.items():
        shapes[f"{name}.linear.weight"], shapes[f"{name}.linear.bias"] = (outputs, inputs), (outputs,)
        norm(f"{name}.bn", outputs)
    return shapes


def encoded(net: AtomIoUNet, batch: int = 3, dtype: torch.dtype = torch.float32):
    """Features of a random pair of images with boxes (batch, 4)."""
    reference, test = levels(batch, dtype), levels(batch, dtype)
    box = torch.tensor([40.0, 50.0, 48.0, 36.0], dtype=dtype) + 4 * torch.rand(batch, 4, dtype=dtype)
    return net.encode(net.modulation(reference, box), test, box[:, 2:]), box


def test_parameters_are_pytrackings():
    ours = {name: tuple(value.shape) for name, value in AtomIoUNet().state_dict().items()}
    assert ours == pytracking_shapes()
    whole = AtomNet(RESNET18, imagenet=False).state_dict()
    for name, shape in pytracking_shapes().items():
        assert tuple(whole[f"bb_regressor.{name}"].shape) == shape
    for name, shape in {"conv1.weight": (64, 3, 7, 7), "layer3.1.bn2.running_var": (256,)}.items():
        assert tuple(whole[f"feature_extractor.{name}"].shape) == shape


def test_energy_is_the_score_of_the_same_boxes():
    net = small_net()
    features, box = encoded(net)
    candidates = box[:, None] + 5 * torch.randn(3, 7, 4)
    with torch.no_grad():
        score = net.score(features, candidates)
        energy = net.energy(features, rect_to_rel(candidates, box[:, None, 2:]))
    assert score.shape == energy.shape == (3, 7)
    assert score.std() > 1e-3
    torch.testing.assert_close(energy, score, rtol=1e-4, atol=1e-5)
    assert net.score(features, candidates[:, :0]).shape == (3, 0)


def test_energy_has_the_gradient_of_finite_differences():
    net = small_net().double()
    features, box = encoded(net, batch=2, dtype=torch.float64)
    y = rect_to_rel(box, box[:, 2:])[:, None] + 0.1 * torch.randn(2, 3, 4, dtype=torch.float64)
    y.requires_grad_()
    (gradient,) = torch.autograd.grad(net.energy(features, y).sum(), y)
    with torch.no_grad():
        for d in range(4):
            change = torch.zeros(4, dtype=torch.float64)
            change[d] = 1e-6
            slope = (net.energy(features, y + change) - net.energy(features, y - change)) / 2e-6
            torch.testing.assert_close(gradient[..., d], slope, rtol=1e-4, atol=1e-6)
    assert gradient.abs().min() > 0


def test_neither_images_nor_boxes_mix_in_evaluation():
    net = small_net()
    reference, test = levels(3), levels(3)
    box = torch.tensor([40.0, 50.0, 48.0, 36.0]) + 6 * torch.rand(3, 4)
    candidates = box[:, None] + 5 * torch.randn(3, 5, 4)

    def scores(rows: slice, columns: slice) -> torch.Tensor:
        modulation = net.modulation({k: v[rows] for k, v in reference.items()}, box[rows])
        features = net.encode(modulation, {k: v[rows] for k, v in test.items()}, box[rows, 2:])
        return net.score(features, candidates[rows, columns])

    with torch.no_grad():
        together = scores(slice(None), slice(None))
        for i in range(3):
            torch.testing.assert_close(scores(slice(i, i + 1), slice(None)), together[i : i + 1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scores(slice(None), slice(2, 3)), together[:, 2:3], rtol=1e-4, atol=1e-5)


def test_what_lies_in_the_reference_box_modulates():
    net = small_net()
    reference, test = levels(1), levels(1)
    box = torch.tensor([[16.0, 16.0, 40.0, 40.0]])

    def score(reference: dict, reference_box: torch.Tensor) -> torch.Tensor:
        return net.score(net.encode(net.modulation(reference, reference_box), test, box[:, 2:]), box[:, None])

    with torch.no_grad():
        before = score(reference, box)
        far = {level: value.clone() for level, value in reference.items()}
        far["stride8"][..., 14:, 14:] += 5.0  # three cells and more from the box
        far["stride16"][..., 7:, 7:] += 5.0
        torch.testing.assert_close(score(far, box), before)
        assert (score(reference, box + torch.tensor([60.0, 60.0, 0.0, 0.0])) - before).abs() > 1e-4


def test_boxes_are_pooled_from_where_the_first_cell_looks():
    """With the first cell 4 and 10 pixels inside, moving box and first cells together changes nothing."""
    net = small_net()
    features, box = encoded(net)
    with torch.no_grad():
        before = net.score(features, box[:, None])
        net.first_cell = (4.0 + 3.0, 10.0 + 3.0)
        after = net.score(features, box[:, None] + torch.tensor([3.0, 3.0, 0.0, 0.0]))
        unmoved = net.score(features, box[:, None])
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert (unmoved - before).abs().max() > 1e-4


def test_channels_follow_the_backbone():
    net = AtomNet(AtomNetConfig(channels=(8, 12), hidden=(16, 20)), imagenet=False).eval()
    images = torch.rand(2, 3, 96, 96)
    box = torch.tensor([[30.0, 30.0, 32.0, 32.0]]).expand(2, 4)
    with torch.no_grad():
        found = net.feature_extractor(images)
        features = net.bb_regressor.encode(net.bb_regressor.modulation(found, box), found, box[:, 2:])
        assert net.bb_regressor.score(features, box[:, None].expand(2, 6, 4)).shape == (2, 6)


def test_training_leaves_the_backbone_as_it_is():
    net = AtomNet(AtomNetConfig(channels=(8, 8), hidden=(8, 8)), imagenet=False)
    assert not any(p.requires_grad for p in net.feature_extractor.parameters())
    wrapper = nn.ModuleList([net]).train()  # as an actor or a trainer would switch it
    assert net.bb_regressor.training and net.bb_regressor.fc3_rt.bn.training
    assert not any(m.training for m in net.feature_extractor.modules())
    before = {k: v.clone() for k, v in net.feature_extractor.state_dict().items()}
    found = net.feature_extractor(torch.rand(2, 3, 96, 96))
    head = net.bb_regressor
    box = torch.tensor([[30.0, 30.0, 32.0, 32.0]]).expand(2, 4)
    head.score(
        head.encode(head.modulation(found, box), found, box[:, 2:]), box[:, None].expand(2, 5, 4)
    ).sum().backward()
    for name, value in net.feature_extractor.state_dict().items():
        assert torch.equal(value, before[name])
    assert head.fc3_rt.bn.num_batches_tracked == 1
    assert all(p.grad is not None for p in head.parameters())
    wrapper.eval()
    assert not head.training
