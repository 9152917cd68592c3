"""The losses of a density on heads for boxes: closed forms, second derivatives through the pooling, what is refused."""

import math

import pytest
import torch
from torch import nn

import ebm_common as ebm
from ltr.actors.bbreg import BBRegActor, BBRegProposalSettings, BBRegRefinementSettings
from ltr.actors.density_loss import BoxLossSettings, box_density_loss, running_statistics
from ltr.actors.detection import DetectionActor, DetectionProposalSettings
from ltr.models.bbreg import AtomNet, AtomNetConfig
from ltr.ops import kernels, reference
from tests.helpers.tiny_detectors import CLASSES, make_detector, photographs

OF_BOXES = ("nll", "kld", "nce", "nce_plus", "mcmc", "dsm")
LABEL = torch.randn(50, 4)


def loss_of(kind: str, sharpness: torch.Tensor | float, num_samples: int = 2000, **constants) -> torch.Tensor:
    """Of f(y) = -sharpness / 2 |y - label|^2."""
    q = ebm.GaussianMixtureProposal([0.1, 0.3])
    loss = box_density_loss(kind, q, num_samples, 0.1, BoxLossSettings(**constants))
    return loss(lambda y: -0.5 * sharpness * (y - LABEL[:, None]).square().sum(-1), LABEL)[0]


# --- closed forms


def test_the_divergence_of_two_gaussians():
    """log Z + s/2 E|y - label|^2, with Z of a Gaussian in four dimensions, and y within sigma_gt of the label."""
    expected = 2 * math.log(2 * math.pi / 30) + 0.5 * 30 * 4 * 0.2**2
    assert loss_of("kld", 30.0, sigma_gt=0.2).item() == pytest.approx(expected, abs=0.05)


def test_denoising_score_matching_is_zero_at_the_density_of_the_noise():
    assert loss_of("dsm", 1 / 0.2**2, sigma_dsm=0.2).item() == pytest.approx(0.0, abs=1e-6)
    # |grad f - grad log N|^2 = (1 / sigma^2 - s)^2 |y - label|^2
    assert loss_of("dsm", 10.0, sigma_dsm=0.2).item() == pytest.approx((25 - 10) ** 2 * 4 * 0.2**2, rel=0.05)


def test_langevin_chains_widen_to_the_density():
    """The loss is -s/2 E|y - label|^2, which is -2 for draws from the density itself."""
    found = loss_of("mcmc", 30.0, 300, langevin_step=0.06, langevin_iterations=100)
    bias = 1 / (1 - (0.06 / 2) ** 2 * 30)
    assert found.item() == pytest.approx(-2 * bias, rel=0.05)


def test_chains_of_the_published_step_hardly_move():
    assert abs(loss_of("mcmc", 30.0).item()) < 1e-6


@pytest.mark.parametrize(
    "constants", [{"sigma_gt": 0.0}, {"sigma_dsm": math.nan}, {"langevin_step": -1.0}, {"langevin_iterations": -1}]
)
def test_impossible_constants_are_named(constants):
    with pytest.raises(ValueError, match=next(iter(constants))):
        loss_of("nll", 1.0, **constants)


def test_score_matching_of_boxes_is_refused_by_name():
    with pytest.raises(ValueError, match="score matching .loss sm. .*second derivatives.*ReLU"):
        loss_of("sm", 1.0)


# --- the tracker's head


@pytest.fixture(scope="module")
def net() -> AtomNet:
    torch.manual_seed(1)
    return AtomNet(AtomNetConfig(channels=(8, 8), hidden=(8, 8)))


def of_tracker(net: AtomNet, kind: str) -> tuple[BBRegActor, dict]:
    proposals = BBRegProposalSettings(num_samples=6)
    actor = BBRegActor(net, proposals, kind, BBRegRefinementSettings(), BoxLossSettings(langevin_step=0.01))
    box = torch.tensor([[30.0, 30.0, 32.0, 32.0], [20.0, 25.0, 40.0, 30.0]])
    features = {
        f"{which}_{level}": torch.randn(2, channels, 96 // stride, 96 // stride)
        for which in ("reference", "test")
        for (level, channels), stride in zip(net.feature_extractor.out_channels.items(), (8, 16), strict=False)
    }
    return actor.train(), {**features, "reference_box": box, "test_box": box + 2}


def gradient_of(actor: BBRegActor, batch: dict) -> torch.Tensor:
    for parameter in actor.trainable_parameters():
        parameter.grad = None
    torch.manual_seed(3)
    actor(batch)[0].backward()
    gradients = [p.grad for p in actor.trainable_parameters()]
    assert all(g is None or g.isfinite().all() for g in gradients)
    return torch.cat([g.flatten() for g in gradients if g is not None])


@pytest.mark.parametrize("kind", ["kld", "nce", "mcmc", "dsm"])
def test_the_trackers_head_is_trained_by_every_loss(net, kind, monkeypatch):
    """Also with the pooling's compiled gradients, of which dsm takes the gradient once more."""
    actor, batch = of_tracker(net, kind)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    found = gradient_of(actor, batch)
    assert found.abs().max() > 0
    means = net.bb_regressor.fc3_rt.bn.running_mean
    assert not torch.equal(means, state["bb_regressor.fc3_rt.bn.running_mean"])  # the statistics are kept by all losses
    net.load_state_dict(state)
    monkeypatch.setattr(kernels, "choose", lambda features: reference.prroi_pool)
    torch.testing.assert_close(found, gradient_of(actor, batch), rtol=1e-3, atol=1e-4 * found.abs().max().item())
    net.load_state_dict(state)


def test_a_candidates_gradient_is_its_own_though_the_batch_norms_train(net):
    """With statistics of the batch, the gradient of all energies at one candidate would depend on the others."""
    actor, batch = of_tracker(net, "dsm")
    label = ebm.rect_to_rel(batch["test_box"], batch["test_box"][:, 2:])[:, None]
    head = net.bb_regressor
    with torch.no_grad():
        features = actor.encode(batch, batch["test_box"][:, 2:])
    found = []
    for others in (0.1, 0.4):
        y = torch.cat([label, label + others], dim=1).requires_grad_()
        with running_statistics(head):
            assert not head.fc3_rt.bn.training and head.training
            (gradient,) = torch.autograd.grad(head.energy(features, y).sum(), y)
        found.append(gradient[:, 0])
    torch.testing.assert_close(*found)
    assert head.fc3_rt.bn.training


def test_validation_compares_all_losses_by_the_likelihood_of_the_same_candidates(net):
    found = []
    _, batch = of_tracker(net, "nll")
    for kind in ("nll", "nce", "kld"):
        actor, _ = of_tracker(net, kind)
        torch.manual_seed(5)
        with torch.no_grad():
            found.append(actor.eval()(batch)[1]["nll"].item())
    assert found == pytest.approx([found[0]] * 3, rel=1e-4)


# --- the detector's


def of_detector(kind: str) -> tuple[DetectionActor, dict]:
    proposals = DetectionProposalSettings(num_samples=5)
    actor = DetectionActor(make_detector("ebm"), proposals, kind, BoxLossSettings(langevin_step=0.01))
    nn.init.normal_(actor.detector.branch.fc_conf.weight, std=0.1)
    chosen = {id(p) for p in actor.trainable_parameters()}
    for parameter in actor.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    corners = torch.tensor([[10.0, 12.0, 60.0, 70.0], [30.0, 5.0, 90.0, 80.0]])
    target = {"boxes": corners, "labels": torch.tensor([1, CLASSES - 1])}
    return actor.train(), {"images": [(255 * photographs((96, 128))[0]).byte()], "targets": [target]}


@pytest.mark.parametrize("kind", OF_BOXES)
def test_the_detectors_branch_is_trained_by_every_loss(kind):
    actor, batch = of_detector(kind)
    torch.manual_seed(5)
    loss, stats = actor(batch)
    loss.backward()
    gradients = [p.grad for p in actor.trainable_parameters()]
    assert all(g is None or g.isfinite().all() for g in gradients)
    assert actor.detector.branch.fc_conf.weight.grad.abs().max() > 0
    assert actor.detector.branch.feat_conf.fc6.weight.grad.abs().max() > 0
    assert ("log_z" in stats) == (kind not in ("mcmc", "dsm"))
    with torch.no_grad():
        _, stats = actor.eval()(batch)
    assert math.isfinite(stats["nll"]) and math.isfinite(stats["refined_iou"])
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    loss, _ = actor.train()({**batch, "targets": [empty]})
    loss.backward()
    assert loss.item() == 0


def test_the_candidates_of_nce_are_wider():
    widths = {
        kind: of_detector(kind)[0].mixture.sigmas.flatten().tolist() for kind in ("nll", "kld", "nce", "nce_plus")
    }
    assert widths["nll"] == widths["kld"] == [0.0375, 0.075, 0.15]
    assert widths["nce"] == widths["nce_plus"] == [0.075, 0.15, 0.3]


def test_a_loss_belongs_to_the_energy_based_system():
    with pytest.raises(ValueError, match="loss nce is one of the system ebm, and the system is iou_net"):
        DetectionActor(make_detector("iou_net"), DetectionProposalSettings(), "nce")
