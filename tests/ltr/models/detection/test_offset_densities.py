"""The box densities: their losses and means by their definitions, and that they learn what they can express."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal, kl_divergence
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from ltr.models.detection import offset_densities
from ltr.models.detection.offset_densities import build_offset_density

SYSTEMS = ["gaussian", "laplace", "mixture2", "mixture4", "mixture8", "cvae"]
CLASSES, FEATURES = 5, 12
LOG_2_PI = math.log(2 * math.pi)
every_system = pytest.mark.parametrize("system", SYSTEMS)


def spread_out(system: str, std: float = 0.3):
    """A density whose weights are large enough that every output matters."""
    density = build_offset_density(system, FEATURES, CLASSES).double()
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return density


def boxes(n: int = 9):
    return (
        torch.randn(n, FEATURES, dtype=torch.float64),
        torch.randint(1, CLASSES, (n,)),
        torch.randn(n, 4, dtype=torch.float64),
    )


def output(layer, inputs, labels, *shape):
    """By the layer as it is, one box after another."""
    return torch.stack([layer(x).reshape(CLASSES, *shape)[k] for x, k in zip(inputs, labels, strict=True)])


@pytest.mark.parametrize(("system", "kind", "constant"), [("gaussian", Normal, 2 * LOG_2_PI),
                                                          ("laplace", Laplace, 4 * math.log(2))])  # fmt: skip
def test_loss_is_the_likelihood_of_four_independent_offsets(system, kind, constant):
    density, (features, labels, offsets) = spread_out(system), boxes()
    mean, log_scale = (output(layer, features, labels, 4) for layer in (density.bb_mean, density.bb_log_scale))
    scale = (0.5 * log_scale if system == "gaussian" else log_scale).exp()
    expected = -kind(mean, scale).log_prob(offsets).sum(1).mean() - constant
    torch.testing.assert_close(density.loss(features, labels, offsets), expected)


def mixture(density, features, labels):
    k = density.components
    mean, log_variance = (output(layer, features, labels, k, 4) for layer in (density.bb_mean, density.bb_log_variance))
    weights = Categorical(logits=output(density.weights, features, labels, k))
    return MixtureSameFamily(weights, Independent(Normal(mean, (0.5 * log_variance).exp()), 1))


@pytest.mark.parametrize("system", ["mixture2", "mixture4", "mixture8"])
def test_mixtures_are_of_all_four_offsets_together(system):
    density, (features, labels, offsets) = spread_out(system), boxes()
    expected = -mixture(density, features, labels).log_prob(offsets).mean() - 2 * LOG_2_PI
    torch.testing.assert_close(density.loss(features, labels, offsets), expected)


def test_the_cvaes_loss_is_its_elbo(monkeypatch):
    """With the 128 samples given, which here are written out: the layers see [features; z]."""
    density, (features, labels, offsets) = spread_out("cvae", 0.1), boxes()
    noise = torch.randn(9, 128, 10, dtype=torch.float64)
    monkeypatch.setattr(offset_densities.torch, "randn", lambda *shape, **_: noise.reshape(shape))
    loss = density.loss(features, labels, offsets)

    latent = Normal(density.latent_mean(features), (0.5 * density.latent_log_variance(features)).exp())
    expected = kl_divergence(latent, Normal(0.0, 1.0)).sum(1)
    for s in range(128):
        inputs = torch.cat([features, latent.mean + latent.stddev * noise[:, s]], dim=1)
        mean = output(density.bb_mean, inputs, labels, 4)
        log_variance = output(density.bb_log_variance, inputs, labels, 4)
        expected = expected - Normal(mean, (0.5 * log_variance).exp()).log_prob(offsets).sum(1) / 128
    torch.testing.assert_close(loss, expected.mean() - 2 * LOG_2_PI)


@every_system
def test_mean_is_laid_out_as_faster_rcnns(system):
    features, labels, _ = boxes()
    _, offsets = FastRCNNPredictor(FEATURES, CLASSES).double()(features)
    density = spread_out(system)
    mean = density.mean(features)
    assert mean.shape == offsets.shape
    own = mean.reshape(9, CLASSES, 4)[torch.arange(9), labels]
    if system == "cvae":
        latent = density.latent_mean(features), (0.5 * density.latent_log_variance(features)).exp()
        samples = [torch.cat([features, latent[0] + latent[1] * noise], dim=1) for noise in density.noise]
        expected = torch.stack([output(density.bb_mean, inputs, labels, 4) for inputs in samples]).mean(dim=0)
    elif system.startswith("mixture"):
        expected = mixture(density, features, labels).mean
    else:
        expected = output(density.bb_mean, features, labels, 4)
    torch.testing.assert_close(own, expected)


def test_a_cvaes_detections_can_be_repeated_and_depend_on_no_other_box():
    density, features = spread_out("cvae"), boxes(20)[0]
    mean = density.mean(features)
    assert torch.equal(density.mean(features), mean)
    torch.testing.assert_close(density.mean(features[7:]), mean[7:])
    other = spread_out("cvae")
    assert "noise" not in density.state_dict()  # a file needs none of it
    other.load_state_dict(density.state_dict())
    torch.testing.assert_close(other.mean(features), mean, rtol=0, atol=0)
    assert density.noise.shape == (128, 10)


def test_a_cvaes_loss_draws_its_samples_anew():
    density, batch = spread_out("cvae"), boxes()
    state = torch.get_rng_state()
    loss = density.loss(*batch)
    assert density.loss(*batch) != loss
    torch.set_rng_state(state)
    assert density.loss(*batch) == loss


@every_system
def test_a_class_is_its_own(system):
    """The loss of boxes of class 2 has no slope in the outputs of others, and their mean's are where they should be."""
    density, (features, _, offsets) = spread_out(system), boxes()
    density.loss(features, torch.full((9,), 2), offsets).backward()
    for name, parameter in density.named_parameters():
        if not name.startswith("latent"):  # z is of all classes
            used = parameter.grad.reshape(CLASSES, -1).abs().sum(1) > 0
            assert used.tolist() == [False, False, True, False, False], name
    before = density.mean(features).reshape(9, CLASSES, 4)
    with torch.no_grad():
        density.bb_mean.bias.reshape(CLASSES, -1)[3] += 1
    after = density.mean(features).reshape(9, CLASSES, 4)
    torch.testing.assert_close((after - before)[:, 3], torch.ones(9, 4, dtype=torch.float64))
    torch.testing.assert_close(after[:, [0, 1, 2, 4]], before[:, [0, 1, 2, 4]])


@every_system
def test_weights_start_near_zero(system):
    density = build_offset_density(system, 1024, 91)
    for name, parameter in density.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.001, rel=0.05)
            assert abs(parameter.mean().item()) < 5e-5
    assert density.mean(torch.rand(3, 1024)).shape == (3, 364)


@pytest.mark.parametrize(
    ("system", "outputs"), [("gaussian", [364] * 2), ("mixture8", [2912, 2912, 728]), ("cvae", [10, 10, 364, 364])]
)
def test_layers_are_the_papers(system, outputs):
    layers = [m for m in build_offset_density(system, 1024, 91).modules() if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == outputs
    assert [layer.in_features for layer in layers] == (
        [1024, 1024, 1034, 1034] if system == "cvae" else [1024] * len(outputs)
    )


@every_system
def test_without_boxes_the_loss_is_zero_with_a_gradient(system):
    density = spread_out(system)
    loss = density.loss(*boxes(0))
    loss.backward()
    assert loss.item() == 0 and all(p.grad is not None and not p.grad.any() for p in density.parameters())
    assert density.mean(boxes(0)[0]).shape == (0, CLASSES * 4)


@every_system
def test_mixed_precision(system):
    density = build_offset_density(system, FEATURES, CLASSES)
    features, labels, offsets = boxes()
    exact = density.loss(features.float(), labels, offsets.float())
    with torch.autocast("cpu", torch.bfloat16):
        loss, mean = density.loss(features.float(), labels, offsets.float()), density.mean(features.float())
    assert loss.dtype == torch.float32 and mean.isfinite().all()
    torch.testing.assert_close(loss, exact, rtol=1e-2, atol=1e-2)


def test_an_unknown_system_is_named():
    with pytest.raises(ValueError, match=r"mixture8.*'mixture3'"):
        build_offset_density("mixture3", 4, 4)


def truth(system: str, features, labels):
    """A density that is linear in the features and another for each class, as the layers can have it."""
    slopes = 0.3 * torch.randn(2, CLASSES, 4, features.shape[1], generator=torch.Generator().manual_seed(1))
    mean, log_scale = (torch.einsum("ndc,nc->nd", w[labels], features) for w in slopes)
    scale = (0.5 * log_scale - 0.5).exp()
    if not system.startswith("mixture"):
        return Independent((Laplace if system == "laplace" else Normal)(mean, scale), 1)
    parts = Normal(torch.stack([mean + 2, mean - 2], dim=1), scale[:, None].expand(-1, 2, -1))
    weights = Categorical(logits=torch.stack([features[:, 0], -features[:, 0]], dim=1))
    return MixtureSameFamily(weights, Independent(parts, 1))


@pytest.mark.parametrize(
    ("system", "steps", "most_regret"),  # with the boxes of the mixture, a Gaussian has a regret of 3.7
    [("gaussian", 300, 0.1), ("laplace", 300, 0.1), ("mixture4", 700, 0.3), ("cvae", 300, 0.1)],
)
def test_learns_the_density_that_the_boxes_come_from(system, steps, most_regret):
    """From the paper's initial weights; measured by the likelihood of new boxes, in nats, and by the means."""
    density = build_offset_density(system, 6, CLASSES)
    optimizer = torch.optim.SGD(density.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)

    def draw(n):
        features, labels = torch.randn(n, 6), torch.randint(1, CLASSES, (n,))
        return features, labels, truth(system, features, labels)

    for _ in range(steps):
        features, labels, true = draw(96)
        optimizer.zero_grad()
        density.loss(features, labels, true.sample()).backward()
        torch.nn.utils.clip_grad_norm_(density.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    features, labels, true = draw(2000)
    offsets = true.sample()
    with torch.no_grad():
        constant = 4 * math.log(2) if system == "laplace" else 2 * LOG_2_PI
        regret = density.loss(features, labels, offsets) + constant + true.log_prob(offsets).mean()
        mean = density.mean(features).reshape(-1, CLASSES, 4)[torch.arange(2000), labels]
    assert -0.02 < regret < most_regret
    assert (mean - true.mean).square().mean().sqrt() < 0.25
