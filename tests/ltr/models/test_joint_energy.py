"""The factored energy is the paper's plain one, in values and in all derivatives, and keeps less for them."""

from unittest import mock

import pytest
import torch

from ebm_common import ascend, denoising_score_matching
from ltr.models.regression import joint_energy
from ltr.models.regression.joint_energy import JointEnergy


def setup(targets: int, images: int, candidates: int, dtype=torch.float64):
    torch.manual_seed(0)
    net = JointEnergy(7, targets).to(dtype)
    g_x = torch.randn(images, 7, dtype=dtype, requires_grad=True)
    y = torch.randn(images, candidates, targets, dtype=dtype, requires_grad=True)
    return net, g_x, y


def factored(net, g_x, y):
    return net.energy(net.encode(g_x), y)


def test_sizes_are_the_papers():
    net = JointEnergy(2048, 3)
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim == 2]
    assert shapes == [(16, 3), (32, 16), (64, 32), (128, 64), (2048, 2048 + 128), (1, 2048)]


@pytest.mark.parametrize("targets, images, candidates", [(1, 3, 1), (1, 2, 130), (3, 5, 40)])
@pytest.mark.parametrize("part", [7 * 2048, 100 * 2048, 10**9])
def test_equals_the_plain_form(targets, images, candidates, part, monkeypatch):
    """In parts of 7 candidates, of 100 candidates of one or several images, and in one part."""
    monkeypatch.setattr(joint_energy, "_CPU_ELEMENTS", part)
    net, g_x, y = setup(targets, images, candidates)
    weights = torch.randn(images, candidates, dtype=torch.float64)
    values, gradients = [], []
    for function in (factored, JointEnergy.plain_energy):
        f = function(net, g_x, y)
        values.append(f.detach())
        gradients.append(torch.autograd.grad((f * weights).sum(), [g_x, y, *net.parameters()]))
    assert values[0].shape == (images, candidates) and values[0].std() > 1e-3
    torch.testing.assert_close(*values, rtol=1e-10, atol=1e-12)
    for ours, plain in zip(*gradients, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-11)


def test_gradients_of_gradients_equal_the_plain_forms():
    """Which score matching trains by."""
    net, g_x, y = setup(2, 3, 5)
    found = []
    for function in (factored, JointEnergy.plain_energy):
        (slope,) = torch.autograd.grad(function(net, g_x, y).sum(), y, create_graph=True)
        parameters = [net.candidate[0].weight, net.candidate[6].weight, net.joint.weight, net.score.weight]
        found.append(torch.autograd.grad(slope.square().sum(), parameters))
    for ours, plain in zip(*found, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-11)


def test_a_candidate_changes_its_own_energy_only():
    net, g_x, y = setup(1, 2, 6)
    before = factored(net, g_x, y)
    moved = y.detach().clone()
    moved[1, 3] += 5
    changed = factored(net, g_x, moved) != before
    assert changed.nonzero().tolist() == [[1, 3]]


def test_keeps_a_fraction_of_what_the_plain_form_keeps():
    net, g_x, y = setup(1, 2, 256, torch.float32)
    kept = {}
    for function in (factored, JointEnergy.plain_energy):
        sizes = {}

        def pack(tensor, sizes=sizes):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            function(net, g_x, y)
        kept[function] = sum(sizes.values()) - sum(p.nbytes for p in net.parameters())
    hidden = 2 * 256 * joint_energy.HIDDEN
    assert kept[factored] < 1.5 * hidden  # a byte for each unit, and the small layers
    assert kept[JointEnergy.plain_energy] > 4 * hidden


def test_without_gradients_nothing_is_kept():
    net, g_x, y = setup(1, 2, 50, torch.float32)
    whole = factored(net, g_x, y)
    with torch.no_grad(), mock.patch("torch.gt", side_effect=AssertionError("kept for no gradient")):
        torch.testing.assert_close(factored(net, g_x, y), whole)


def test_autocast_does_not_round_candidates():
    """In bfloat16, 40.0 and 40.1 are one number."""
    net, g_x, _ = setup(1, 2, 1, torch.float32)
    y = torch.tensor([[[40.0], [40.1]]]).expand(2, -1, -1)
    whole = factored(net, g_x, y)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(factored(net, g_x, y), whole, rtol=0, atol=0)
        torch.testing.assert_close(factored(net, g_x.bfloat16(), y), whole, rtol=0, atol=0.05)
    assert (whole[:, 0] - whole[:, 1]).abs().min() > 0


def test_autocast_does_not_round_gradients_of_candidates():
    """Nor what denoising score matching learns from them."""
    net, g_x, y = setup(1, 2, 8, torch.float32)
    a_x = net.encode(g_x)

    def climb_and_learn(autocast):
        label, generator = 40 + y[:, 0], torch.Generator().manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            refined = ascend(lambda y: net.energy(a_x, y), y, 3.0, 2).y
            loss = denoising_score_matching(lambda y: net.energy(a_x, y), label, 0.2, 16, generator)
        return refined, torch.autograd.grad(loss, net.joint.weight, retain_graph=True)[0]

    for got, whole in zip(climb_and_learn(True), climb_and_learn(False), strict=True):
        torch.testing.assert_close(got, whole, rtol=0, atol=0)
