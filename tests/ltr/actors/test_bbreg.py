"""The actor of the three systems: candidates, losses, statistics, and where gradients go."""

import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ebm_common import elementwise_iou, noise_contrastive_estimation, rect_to_rel, rel_to_rect
from ltr.actors.bbreg import BBRegActor, BBRegProposalSettings, BBRegRefinementSettings, perturb_boxes
from ltr.models.bbreg import AtomNet, AtomNetConfig, BoxFeatures, Modulation

ATOM = BBRegProposalSettings(kind="perturbation", num_samples=16)
MIXTURE = BBRegProposalSettings(kind="mixture", num_samples=128)
SYSTEMS = {
    "atom": (ATOM, "iou"),
    "atom_star": (MIXTURE, "iou"),
    "ebm": (MIXTURE, "nll"),
    "ebm_nce_plus": (MIXTURE, "nce_plus"),
}


class Quadratic(nn.Module):
    """A head with f(x, y) = -sharpness/2 |y - t|^2, with t the relative box that the test "features" consist of."""

    def __init__(self, sharpness: float):
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def modulation(self, reference, boxes):
        return Modulation(reference["stride8"], reference["stride16"])

    def encode(self, modulation, test, size):
        return BoxFeatures(test["stride8"], test["stride16"], size)

    def energy(self, features, y):
        target = rect_to_rel(features.stride8, features.size)
        return -0.5 * self.sharpness * (y - target[:, None]).square().sum(-1)


class Net(nn.Module):
    def __init__(self, sharpness: float):
        super().__init__()
        self.feature_extractor = nn.Identity()
        self.feature_extractor.out_channels = {"stride8": 4, "stride16": 4}
        self.bb_regressor = Quadratic(sharpness)


def quadratic_actor(system: str, sharpness: float = 30.0) -> BBRegActor:
    return BBRegActor(Net(sharpness), *SYSTEMS[system], BBRegRefinementSettings((2e-4, 1e-3)))


def boxes(number: int) -> torch.Tensor:
    return torch.cat([20 + 100 * torch.rand(number, 2), 30 + 60 * torch.rand(number, 2)], dim=1)


def batch_of(box: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch as of cached features, in which the test features are the box."""
    names = ("reference_stride8", "reference_stride16", "test_stride8", "test_stride16", "reference_box", "test_box")
    return dict.fromkeys(names, box)


def weights_of(candidates: torch.Tensor, label: torch.Tensor, sharpness: float) -> list[float]:
    """exp f / q of `Quadratic` and the mixture of Eq. 5 at candidates (M, 4) of a label (4,), in plain numbers."""
    weights = []
    for y in candidates:
        delta = (y - label).double()
        density = sum(
            math.prod(math.exp(-d * d / (2 * s * s)) / (math.sqrt(2 * math.pi) * s) for d in delta.tolist()) / 2
            for s in (0.05, 0.5)
        )
        weights.append(math.exp(-0.5 * sharpness * delta.square().sum().item()) / density)
    return weights


def iou_of(a, b) -> float:
    """Two boxes x, y, w, h, in plain numbers."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


# --- losses


def test_ebm_loss_is_the_importance_sampled_likelihood():
    actor, box = quadratic_actor("ebm"), boxes(3)
    torch.manual_seed(5)
    loss, stats = actor(batch_of(box))

    torch.manual_seed(5)
    label = rect_to_rel(box, box[:, 2:])
    samples = actor.mixture.sample(label, 128)
    total = 0.0
    for i in range(3):
        ratios = weights_of(samples[i], label[i], sharpness=30.0)
        total += math.log(sum(ratios) / len(ratios)) - 0.0  # f of the label is zero
    assert loss.item() == pytest.approx(total / 3, rel=1e-4)
    assert stats["f_label"].item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.8])
def test_nce_plus_tells_the_noisy_label_from_the_candidates(beta):
    box, sharpness = boxes(3), 30.0
    proposals = BBRegProposalSettings(num_samples=20, beta=beta)
    actor = BBRegActor(Net(sharpness), proposals, "nce_plus", BBRegRefinementSettings())
    torch.manual_seed(5)
    loss, stats = actor(batch_of(box))

    torch.manual_seed(5)
    label = rect_to_rel(box, box[:, 2:])
    samples = actor.mixture.sample(label, 20)
    component, noise = torch.randint(2, (3, 1)), torch.randn(3, 1, 4)
    noisy = label + beta * torch.tensor([0.05, 0.5])[component] * noise[:, 0]
    total, log_z = 0.0, 0.0
    for i in range(3):
        (positive,) = weights_of(noisy[i, None], label[i], sharpness)
        ratios = weights_of(samples[i], label[i], sharpness)
        total -= math.log(positive / (positive + sum(ratios)))
        log_z += math.log(sum(ratios) / len(ratios))
    assert loss.item() == pytest.approx(total / 3, rel=1e-4)
    # the statistics are the likelihood's: of the exact label, whose energy is zero, and of the candidates alone
    assert stats["f_label"].item() == pytest.approx(0.0, abs=1e-4)
    assert stats["log_z"].item() == pytest.approx(log_z / 3, rel=1e-4)


def test_nce_plus_without_noise_is_nce():
    box = boxes(3)
    actor = BBRegActor(
        Net(30.0), BBRegProposalSettings(num_samples=20, beta=0.0), "nce_plus", BBRegRefinementSettings()
    )
    torch.manual_seed(5)
    loss, _ = actor(batch_of(box))

    torch.manual_seed(5)
    label = rect_to_rel(box, box[:, 2:])
    y = actor.mixture.sample(label, 20)
    f = actor.net.bb_regressor.energy(BoxFeatures(box, box, box[:, 2:]), torch.cat([label[:, None], y], dim=1))
    log_q = actor.mixture.log_prob(torch.cat([label[:, None], y], dim=1), label)
    expected = noise_contrastive_estimation(f[:, 0], f[:, 1:], log_q[:, 0], log_q[:, 1:])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", ["nll", "nce_plus"])
def test_a_density_learns_how_exact_its_labels_are(loss):
    """Labels are noisier than the energy believes, by a known amount: its sharpness goes to the inverse variance."""
    torch.manual_seed(0)
    actor = BBRegActor(Net(60.0), BBRegProposalSettings(num_samples=64), loss, BBRegRefinementSettings())
    optimizer = torch.optim.Adam(actor.parameters(), lr=1.0)
    losses = []
    for _ in range(150):
        box = boxes(64)
        batch = batch_of(box)
        relative = rect_to_rel(box, box[:, 2:])
        batch["test_stride8"] = rel_to_rect(relative + 0.3 * torch.randn_like(relative), box[:, 2:])
        optimizer.zero_grad()
        value, _ = actor(batch)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert sum(losses[-20:]) < sum(losses[:20])
    assert actor.net.bb_regressor.sharpness.item() == pytest.approx(1 / 0.3**2, rel=0.25)


def test_ebm_diagnostics_of_a_gaussian():
    """Z is known, and the more the energy is like the proposal the more samples count."""
    box, many = boxes(50), BBRegProposalSettings(kind="mixture", num_samples=4000)
    _, stats = BBRegActor(Net(30.0), many, "nll", BBRegRefinementSettings())(batch_of(box))
    assert stats["log_z"].item() == pytest.approx(2 * math.log(2 * math.pi / 30), abs=0.03)
    _, sharp = BBRegActor(Net(1e5), many, "nll", BBRegRefinementSettings())(batch_of(box))
    assert 1 <= sharp["effective_samples"] < stats["effective_samples"] <= 4000


@pytest.mark.parametrize("system", ["atom", "atom_star"])
def test_iou_loss_is_the_squared_error_to_the_scaled_overlap(system):
    actor, box = quadratic_actor(system), boxes(3)
    torch.manual_seed(5)
    loss, stats = actor(batch_of(box))

    torch.manual_seed(5)
    if system == "atom":
        candidates = perturb_boxes(box, 16, ATOM.perturbation_sigmas, ATOM.min_iou)
    else:
        y = actor.mixture.sample(rect_to_rel(box, box[:, 2:]), 128)
        candidates = rel_to_rect(y, box[:, None, 2:])
    predicted = actor.net.bb_regressor.energy(
        BoxFeatures(box, box, box[:, 2:]), rect_to_rel(candidates, box[:, None, 2:])
    )
    errors = [
        predicted[i, m].item() - (2 * iou_of(candidates[i, m].tolist(), box[i].tolist()) - 1)
        for i in range(3)
        for m in range(candidates.shape[1])
    ]
    assert loss.item() == pytest.approx(sum(e * e for e in errors) / len(errors), rel=1e-3)
    # the statistic is in units of IoU
    assert stats["iou_error"].item() == pytest.approx(sum(abs(e) / 2 for e in errors) / len(errors), rel=1e-3)


def test_statistics_of_each_system():
    box = boxes(4)
    of_density = {"log_z", "f_label", "effective_samples"}
    for system, (_, kind) in SYSTEMS.items():
        own = {"iou_error"} if kind == "iou" else of_density
        actor = quadratic_actor(system)
        in_validation = {"start_iou", "refined_iou"} | (set() if kind == "iou" else {"nll"})
        for training, more in ((True, set()), (False, in_validation)):
            with torch.set_grad_enabled(training):
                loss, stats = actor.train(training)(batch_of(box))
            assert stats.keys() == {"loss"} | own | more
            assert all(value.shape == () and math.isfinite(value) for value in stats.values())
            assert not any(value.requires_grad for value in stats.values())
            assert stats["loss"] == loss and loss.requires_grad == training


@pytest.mark.parametrize("loss", ["nll", "nce_plus"])
def test_losses_of_a_density_need_that_of_the_candidates(loss):
    with pytest.raises(ValueError, match=f"{loss}.*mixture"):
        BBRegActor(Net(1.0), ATOM, loss, BBRegRefinementSettings())


@pytest.mark.parametrize("beta", [-0.1, math.inf, math.nan])
def test_noise_that_cannot_be_is_refused(beta):
    with pytest.raises(ValueError, match="beta"):
        BBRegActor(Net(1.0), BBRegProposalSettings(beta=beta), "nce_plus", BBRegRefinementSettings())


def test_validation_compares_the_losses_of_a_density():
    """The same candidates give the same statistics, the exact label's energy among them, whatever trained."""
    box, found = boxes(4), []
    for system in ("ebm", "ebm_nce_plus"):
        torch.manual_seed(5)
        with torch.no_grad():
            found.append(quadratic_actor(system).eval()(batch_of(box)))
    (nll, of_nll), (nce, of_nce) = found
    assert of_nce["log_z"] - of_nce["f_label"] == pytest.approx(nll.item(), rel=1e-4)
    assert of_nce["effective_samples"] == pytest.approx(of_nll["effective_samples"].item(), rel=1e-4)
    assert nce > 0 and nce != nll  # a cross-entropy


# --- refinement


def test_validation_refines_towards_the_energys_maximum():
    box = boxes(50)
    with torch.no_grad():
        _, up = quadratic_actor("ebm", sharpness=500.0).eval()(batch_of(box))
        _, down = quadratic_actor("ebm", sharpness=-300.0).eval()(batch_of(box))
        # an energy whose maximum lies elsewhere leads there: refining must not look at the label
        wrong = batch_of(box)
        wrong["test_stride8"] = box + box[:, 2:].repeat(1, 2) * torch.tensor([2.0, 0.0, 0.0, 0.0])
        _, away = quadratic_actor("ebm", sharpness=2000.0).eval()(wrong)
    assert 0.4 < up["start_iou"] < 0.9
    assert up["refined_iou"] > up["start_iou"] + 0.1
    assert down["refined_iou"] < down["start_iou"] - 0.05
    assert away["refined_iou"] < 0.3


# --- the real network


@pytest.fixture(scope="module")
def net() -> AtomNet:
    torch.manual_seed(1)
    return AtomNet(AtomNetConfig(channels=(8, 8), hidden=(8, 8)))


def images(number: int) -> dict[str, torch.Tensor]:
    box = torch.tensor([30.0, 30.0, 32.0, 32.0]) + 6 * torch.rand(number, 4)
    pixels = torch.randint(0, 256, (2, number, 3, 96, 96), dtype=torch.uint8)
    return {"reference_image": pixels[0], "test_image": pixels[1], "reference_box": box, "test_box": box + 2}


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradients_reach_the_box_network_only(net, system):
    actor = BBRegActor(net, *SYSTEMS[system], BBRegRefinementSettings()).train()
    net.zero_grad(set_to_none=True)
    loss, _ = actor(images(2))
    loss.backward()
    assert {id(p) for p in actor.trainable_parameters()} == {id(p) for p in net.bb_regressor.parameters()}
    for name, parameter in net.bb_regressor.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert sum(p.grad.abs().sum() for p in net.bb_regressor.parameters()) > 0
    assert all(p.grad is None for p in net.feature_extractor.parameters())


def test_cached_features_train_as_images_do(net):
    actor = BBRegActor(net, MIXTURE, "nll", BBRegRefinementSettings()).eval()
    batch = images(2)
    cached = {name: batch[name] for name in ("reference_box", "test_box")}
    with torch.no_grad():
        for which in ("reference", "test"):
            for level, value in net.feature_extractor(batch[f"{which}_image"].float() / 255).items():
                cached[f"{which}_{level}"] = value.half()
        torch.manual_seed(2)
        direct, _ = actor(batch)
        torch.manual_seed(2)
        indirect, _ = actor(cached)
    assert indirect.item() == pytest.approx(direct.item(), rel=0.02, abs=0.02)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_step_is_that_of_the_two_images_one_by_one(net, system):
    """Both through the backbone at once, with folded batch norms: loss and gradients stay, within rounding."""
    batch = images(3)
    plain = {name: batch[name] for name in ("reference_box", "test_box")}
    for which in ("reference", "test"):
        with torch.no_grad():
            features = net.feature_extractor(batch[f"{which}_image"].float() / 255)
        plain |= {f"{which}_{level}": value for level, value in features.items()}
    results = []
    for one in (plain, batch):
        actor = BBRegActor(net, *SYSTEMS[system], BBRegRefinementSettings()).train()
        net.zero_grad(set_to_none=True)
        torch.manual_seed(3)
        loss, _ = actor(one)
        loss.backward()
        results.append((loss.item(), torch.cat([p.grad.flatten() for p in actor.trainable_parameters()])))
    (expected, gradient), (found, same_gradient) = results
    assert found == pytest.approx(expected, rel=1e-3)
    # batch norms of three values pass rounding on enlarged: changing the features by 1e-6 does as much
    assert (same_gradient - gradient).norm() < 0.05 * gradient.norm()


def test_checkpoints_hold_the_backbone_as_it_is(net):
    names = list(net.state_dict())
    actor = BBRegActor(net, *SYSTEMS["ebm"], BBRegRefinementSettings()).train()
    actor(images(2))
    assert list(actor.checkpoint_model().state_dict()) == names
    assert list(actor.state_dict()) == [f"net.{name}" for name in names]


class Asking(TorchDispatchMode):
    """Counts how often a number is taken out of a tensor, which waits for a GPU."""

    asked = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        waits = torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.masked_select
        self.asked += function.overloadpacket in waits
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("system", ["atom_star", "ebm", "ebm_nce_plus"])
def test_a_step_never_waits_for_a_number(net, system):
    actor, batch = BBRegActor(net, *SYSTEMS[system], BBRegRefinementSettings()).train(), images(2)
    with Asking() as mode:
        loss, _ = actor(batch)
        loss.backward()
    assert mode.asked == 0
    with mode:
        loss.item()
    assert mode.asked == 1


# --- ATOM's candidates

SIGMAS = (0.01, 0.05, 0.1, 0.2, 0.3)


def test_perturbed_boxes_overlap_and_lie_on_whole_pixels():
    box = torch.cat(
        [boxes(40), torch.tensor([[3.0, 4.0, 200.0, 4.0], [50.5, -7.25, 6.0, 150.0], [0.0, 0.0, 9.0, 9.0]])]
    )
    candidates = perturb_boxes(box, 16, SIGMAS, 0.1)
    assert candidates.shape == (43, 16, 4)
    assert torch.equal(candidates, candidates.round()) and (candidates[..., 2:] >= 1).all()
    overlap = elementwise_iou(candidates, box[:, None])
    assert (overlap > 0.1).float().mean() > 0.995
    assert overlap[:40].min() > 0.1 and overlap.min() < 0.5 and overlap.max() > 0.9


def test_perturbation_is_relative_to_the_size_of_the_box():
    box = torch.tensor([[100.0, 100.0, 900.0, 400.0]])
    candidates = perturb_boxes(box, 4000, (0.05,), 0.1)[0]
    change = torch.cat(
        [candidates[:, :2] + candidates[:, 2:] / 2 - torch.tensor([550.0, 300.0]), candidates[:, 2:] - box[0, 2:]], 1
    )
    torch.testing.assert_close(change.std(0), torch.full((4,), 0.05 * 600), rtol=0.06, atol=0)
    assert change.mean(0).abs().max() < 2
    # with several widths, each candidate has one of its own
    mixed = perturb_boxes(box, 4000, (0.001, 0.2), 0.1)[0]
    near = (elementwise_iou(mixed, box) > 0.98).float().mean()
    assert near == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("size", [1e-3, 0.3, 1.0, 1.7, 3.0])
def test_boxes_of_a_pixel_and_less_give_finite_candidates(size):
    box = torch.tensor([[10.2, 20.7, size, size], [10.2, 20.7, 40.0, size]])
    candidates = perturb_boxes(box, 16, SIGMAS, 0.1)
    assert torch.isfinite(rect_to_rel(candidates, box[:, None, 2:])).all()


def test_a_demand_that_cannot_be_met_ends():
    candidates = perturb_boxes(torch.tensor([[0.5, 0.5, 10.0, 10.0]]), 8, SIGMAS, 1.0)
    assert torch.isfinite(candidates).all()
