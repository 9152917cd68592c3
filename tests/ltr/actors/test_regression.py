"""The actors of regression: every loss is that of ebm_common, and statistics on closed forms."""

import typing

import pytest
import torch
from torch import Tensor, nn

import ebm_common as ebm
from ltr.actors.regression import BaselineActor, BaselineKind, EnergyActor, EnergyLoss, EnergyLossSettings
from ltr.common.seeds import seed_everything

B, M, D = 6, 32, 2
KINDS = typing.get_args(EnergyLoss)


class SmallNet(nn.Module):
    """Counts how it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.x_net = nn.Linear(3, 4)
        self.joint = nn.Sequential(nn.Linear(4 + D, 8), nn.Tanh(), nn.Linear(8, 1))
        self.encoded = 0
        self.asked: list[int] = []

    def encode(self, x: Tensor) -> Tensor:
        self.encoded += 1
        return self.x_net(x)

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        self.asked.append(y.shape[1])
        return self.joint(torch.cat([features[:, None].expand(-1, y.shape[1], -1), y], dim=-1))[..., 0]


class ExactNet(nn.Module):
    """f is log N(y; x, 0.3^2), so Z = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))

    def encode(self, x: Tensor) -> Tensor:
        return x

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        return torch.distributions.Normal(features[:, None], self.scale).log_prob(y).sum(dim=-1)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return {"x": torch.randn(B, 3), "label": torch.randn(B, D)}


def actor_of(kind: str, **changes) -> EnergyActor:
    return EnergyActor(SmallNet(), EnergyLossSettings(kind=kind, num_samples=M, sigmas=(0.2, 1.0), **changes))


# --- energy-based


def expected_loss(kind: str, net: SmallNet, batch: dict[str, Tensor]) -> Tensor:
    """The loss in ebm_common's own words, with the actor's order of random numbers."""
    label, q = batch["label"], ebm.GaussianMixtureProposal([0.2, 1.0])
    features = net.encode(batch["x"])

    def f(y: Tensor) -> Tensor:
        return net.energy(features, y)

    if kind == "sm":
        return ebm.score_matching(f, label[:, None])
    if kind == "dsm":
        return ebm.denoising_score_matching(f, label, 0.2, M)
    if kind == "mcmc":
        y = ebm.langevin_sample(f, label[:, None].expand(-1, M, -1), 0.05, 16)
        return ebm.contrastive_divergence(f(label[:, None])[:, 0], f(y))
    y = q.sample(label, M)
    log_q = q.log_prob(y, label)
    if kind == "nll":
        return ebm.nll_importance_sampling(f(label[:, None])[:, 0], f(y), log_q)
    if kind == "kld":
        return ebm.kl_importance_sampling(f(y), log_q, ebm.GaussianMixtureProposal([0.025]).log_prob(y, label))
    first = label[:, None] if kind == "nce" else q.scaled(0.025).sample(label, 1)
    return ebm.noise_contrastive_estimation(f(first)[:, 0], f(y), q.log_prob(first, label)[:, 0], log_q)


@pytest.mark.parametrize("kind", KINDS)
def test_each_loss_is_that_of_ebm_common_and_trains_every_parameter(kind, batch):
    actor = actor_of(kind)
    seed_everything(1)
    loss, stats = actor(batch)
    seed_everything(1)
    torch.testing.assert_close(loss, expected_loss(kind, actor.net, batch))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in actor.net.x_net.parameters())
    assert actor.net.joint[0].weight.grad.abs().max() > 0
    sampled = {"log_z", "f_label", "effective_samples"} if kind in ("nll", "kld", "nce", "nce_plus") else set()
    assert stats.keys() == {"loss"} | sampled
    torch.testing.assert_close(stats["loss"], loss.detach())


@pytest.mark.parametrize("kind", ["nll", "kld", "nce"])
def test_encodes_once_and_asks_for_label_and_candidates_together(kind, batch):
    actor = actor_of(kind)
    actor(batch)
    assert actor.net.encoded == 1 and actor.net.asked == [1 + M]


@pytest.mark.parametrize("kind", KINDS)
def test_validation_has_the_likelihood_and_the_error_whatever_the_loss(kind, batch):
    seen = []

    def predict(energy, given):
        seen.append(energy(given["label"][:, None]).shape)
        return given["label"] + torch.tensor([0.5, -1.5])

    actor = EnergyActor(SmallNet(), EnergyLossSettings(kind=kind, num_samples=M, sigmas=(0.2, 1.0)), predict).eval()
    with torch.no_grad():
        _, stats = actor(batch)
    assert stats.keys() == {"loss", "nll", "log_z", "f_label", "effective_samples", "error"}
    assert stats["error"].item() == pytest.approx(1.0) and seen == [(B, 1)]
    assert not any(value.requires_grad for value in stats.values())


def test_statistics_of_a_density_that_is_known():
    label = torch.randn(200, 1)
    batch = {"x": label + 0.3 * torch.randn(200, 1), "label": label}
    actor = EnergyActor(ExactNet(), EnergyLossSettings(num_samples=4000, sigmas=(0.3, 0.8))).eval()
    _, stats = actor(batch)
    assert stats["log_z"].item() == pytest.approx(0.0, abs=0.01)
    true = -torch.distributions.Normal(batch["x"], 0.3).log_prob(label).mean()
    assert stats["nll"].item() == pytest.approx(true.item(), abs=0.01)
    assert 800 < stats["effective_samples"] < 4000


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"langevin_iterations": -1}, "langevin_iterations"),
        ({"beta": -0.1}, "beta"),
        ({"sigma_gt": float("nan")}, "sigma_gt"),
        ({"sigma_dsm": -1.0}, "sigma_dsm"),
        ({"langevin_step": 0.0}, "langevin_step"),
        ({"sigmas": (0.1, -0.1)}, "sigmas"),
    ],
)
def test_impossible_constants_are_named(changes, named):
    with pytest.raises(ValueError, match=named):
        EnergyActor(SmallNet(), EnergyLossSettings(**changes))


# --- baselines

BINS = ebm.SoftmaxBins(-3, 3, 7)


class Fixed(nn.Module):
    """Gives the same output for every x."""

    def __init__(self, output) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.fixed = output

    def output(self, x: Tensor):
        return tuple(o + self.weight for o in self.fixed) if isinstance(self.fixed, tuple) else self.fixed + self.weight


@pytest.mark.parametrize("kind", typing.get_args(BaselineKind))
def test_baselines_have_their_loss_prediction_and_error(kind):
    label = torch.tensor([[0.5, -1.0], [1.0, 2.0]])
    point = torch.tensor([[1.5, -1.0], [1.0, 0.0]])  # errors 1, 0, 0, 2
    scale = torch.tensor([[0.1, -0.2], [0.3, 0.4]])
    logits = torch.randn(2, 2, 7)
    output = logits if kind.startswith("softmax") else point if kind.startswith("direct") else (point, scale)
    expected = {
        "direct_l2": lambda: ebm.l2_loss(point, label),
        "direct_huber": lambda: ebm.huber_loss(point, label),
        "gaussian": lambda: ebm.gaussian_loss(point, scale, label),
        "laplace": lambda: ebm.laplace_loss(point, scale, label),
        "multivariate_laplace": lambda: ebm.multivariate_laplace_loss(point, scale, label),
        "softmax_ce_l2": lambda: BINS.loss(logits, label),
        "softmax_ce_l2_var": lambda: BINS.loss(logits, label, 0.05),
    }[kind]()
    actor = BaselineActor(Fixed(output), kind, BINS if kind.startswith("softmax") else None)
    loss, stats = actor({"x": torch.zeros(2, 1), "label": label})
    torch.testing.assert_close(loss, expected)
    assert stats.keys() == {"loss"} and loss.requires_grad
    prediction = BINS.moments(logits).mean if kind.startswith("softmax") else point
    torch.testing.assert_close(actor.predict(torch.zeros(2, 1)), prediction)
    _, stats = actor.eval()({"x": torch.zeros(2, 1), "label": label})
    assert stats["mae"].item() == pytest.approx((prediction - label).abs().mean().item())
    if not kind.startswith("softmax"):
        assert stats["mae"].item() == pytest.approx(0.75)


@pytest.mark.parametrize("kind", ["softmax_ce_l2", "softmax_ce_l2_var"])
def test_a_label_beyond_the_bins_counts_as_the_outermost_but_errs_by_all(kind):
    logits = torch.randn(2, 1, 7)
    actor = BaselineActor(Fixed(logits), kind, BINS).eval()
    (at_end, error), (beyond, larger_error) = (
        (loss.item(), stats["mae"].item())
        for label in ([[-3.0], [3.0]], [[-9.0], [4.0]])
        for loss, stats in [actor({"x": torch.zeros(2, 1), "label": torch.tensor(label)})]
    )
    assert beyond == at_end and larger_error - error == pytest.approx(3.5, abs=1e-5)


def test_softmax_needs_bins():
    with pytest.raises(ValueError, match="bins"):
        BaselineActor(Fixed(torch.zeros(1, 1, 7)), "softmax_ce_l2")


def test_frozen_parameters_are_not_trained():
    actor = actor_of("nll")
    actor.net.x_net.requires_grad_(False)
    assert len(actor.trainable_parameters()) == 4 and actor.checkpoint_model() is actor.net
