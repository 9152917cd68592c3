"""The toy's two systems by the command that a user gives: they learn, repeat, resume, and end in their report."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ebm_common import GaussianMixtureProposal, importance_sample, log_partition_grid
from ltr.commands import train as train_command
from ltr.dataset.toy import TOY_DENSITIES, ToySamples
from ltr.evaluation.toy.divergence import grid_axis, kl_divergence, model_log_density, true_log_density
from ltr.evaluation.trainings import training
from ltr.models.regression.toy import ToyEnergyNet, ToyGaussianNet
from ltr.train_settings.registry import load_settings
from tests.helpers.comparing import same

SHORT = "--device cpu --epochs 12".split()
TINY = "--device cpu --epochs 2 --samples_per_epoch 128 --loss.num_samples 8".split()


def train(workspace: Path, *arguments: str) -> int:
    return train_command.main(["toy", *arguments, "--workspace", str(workspace)])


def run_folder(workspace: Path, name: str) -> Path:
    return workspace / "checkpoints" / "ltr" / "toy" / name


def weights(workspace: Path, name: str = "ebm") -> dict[str, torch.Tensor]:
    return load_file(run_folder(workspace, name) / "ebm_final.safetensors")


# --- a training that is short but suffices


@pytest.fixture(scope="module")
def trained(module_folder) -> Path:
    """Workspace with both systems, trained in seconds: fewer epochs and candidates than the paper."""
    assert train(module_folder, "gaussian", *SHORT) == 0
    assert train(module_folder, "ebm", *SHORT, "--loss.num_samples", "64") == 0
    return module_folder


@pytest.mark.slow
def test_the_energy_based_model_is_much_nearer_to_the_truth(trained):
    gaussian, ebm = (json.loads((run_folder(trained, name) / "kl.json").read_text()) for name in ("gaussian", "ebm"))
    for part in ("all", "negative", "positive"):
        assert 0 < ebm["kl"][part] < 0.5 * gaussian["kl"][part]
    assert ebm["data"] == "1" and ebm["cells"] == 2048 and ebm["settings"]["epochs"] == 12 and ebm["seed"] == 0


def test_a_training_ends_in_its_divergence_and_a_picture(trained, capsys):
    folder = run_folder(trained, "ebm")
    assert train(trained, "ebm", *SHORT, "--loss.num_samples", "64") == 0  # complete already: reports again
    said = capsys.readouterr().out
    kl = json.loads((folder / "kl.json").read_text())["kl"]
    assert f"KL(truth || ebm) = {kl['all']:.4f} (x < 0: {kl['negative']:.4f}, x >= 0: {kl['positive']:.4f})" in said
    assert str(folder / "densities.png") in said
    with (
        Image.open(folder / "densities.png") as three,
        Image.open(run_folder(trained, "gaussian") / "densities.png") as two,
    ):  # the Gaussian was trained before there was an EBM to show
        assert three.height == two.height and three.width > 1.3 * two.width


def test_log_z_by_importance_sampling_agrees_with_the_grid_to_three_digits(trained):
    net = ToyEnergyNet()
    net.load_state_dict(weights(trained))
    x = torch.tensor([[-2.0], [-0.5], [1.5]])
    features = net.encode(x)

    def energy(y: torch.Tensor) -> torch.Tensor:
        return net.energy(features, y)

    grid = log_partition_grid(energy, torch.full((3, 1), -8.0), torch.full((3, 1), 8.0), 16384)
    sampled = importance_sample(energy, torch.zeros(3, 1), GaussianMixtureProposal([0.8, 1.6]), 2**20, chunk=2**16)
    torch.testing.assert_close(sampled.log_z, grid, rtol=0, atol=2e-3)  # Z within 0.2%


# --- repeating and resuming


@pytest.fixture
def reported(monkeypatch) -> list[Path]:
    """Folders of which a report would have been made: it takes longer than these trainings."""
    folders = []
    monkeypatch.setitem(training.REPORTS, "toy", lambda folder, *_: folders.append(folder))
    return folders


def test_two_runs_are_identical_and_another_seed_differs(tmp_path, reported):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        torch.rand(3)
        assert train(tmp_path, "ebm", *TINY, "--run_name", name, "--seed", seed) == 0
    a, b, c = (weights(tmp_path, name) for name in "abc")
    assert same(a, b) and not same(a, c)
    assert reported == [run_folder(tmp_path, name) for name in "abc"]


def test_interrupted_and_resumed_equals_unbroken(tmp_path, monkeypatch, reported):
    assert train(tmp_path, "ebm", *TINY, "--run_name", "unbroken") == 0
    get = ToySamples.__getitem__

    def interrupting(self, k):
        if k == 128 + 40:  # in the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return get(self, k)

    with monkeypatch.context() as patch:
        patch.setattr(ToySamples, "__getitem__", interrupting)
        assert train(tmp_path, "ebm", *TINY) == 130
    assert len(reported) == 1 and not (run_folder(tmp_path, "ebm") / "ebm_final.safetensors").exists()
    assert train(tmp_path, "ebm", *TINY) == 0
    assert len(reported) == 2 and same(weights(tmp_path), weights(tmp_path, "unbroken"))


# --- the divergence


def test_divergence_of_the_truth_from_itself_is_zero():
    for density in TOY_DENSITIES.values():
        true = true_log_density(density, 512)
        model = torch.logaddexp(true, torch.tensor(1e-30, dtype=torch.float64).log())
        got = kl_divergence(true, model)
        assert max(abs(got.all), abs(got.negative), abs(got.positive)) < 1e-4


def test_divergence_of_gaussians_in_closed_form():
    axis = grid_axis(1024).double()
    half = torch.where(axis < 0, 0.5, 1.0)[:, None]  # another standard deviation on either side
    normal = torch.distributions.Normal
    got = kl_divergence(normal(0.0, 0.2).log_prob(axis).expand(1024, -1), normal(0.3, half).log_prob(axis))
    expected = [torch.distributions.kl_divergence(normal(0.0, 0.2), normal(0.3, s)).item() for s in (0.5, 1.0)]
    assert [got.negative, got.positive] == pytest.approx(expected, rel=1e-6)
    assert got.all == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_divergence_is_finite_where_the_model_has_energies_of_ten_thousand():
    class Steep(ToyEnergyNet):
        def energy(self, features, y):
            return -1e4 * (y[..., 0] - 0.5).abs()

    model = model_log_density(Steep(), 256)
    assert torch.isfinite(model).all()
    got = kl_divergence(true_log_density(TOY_DENSITIES["1"], 256), model)
    assert 1e3 < got.all < 1e5


def test_model_densities_integrate_to_one():
    for net in (ToyGaussianNet(), ToyEnergyNet()):
        if isinstance(net, ToyGaussianNet):
            net.log_variance[-1].bias.data.fill_(-3.0)
        p = model_log_density(net, 300).exp()
        torch.testing.assert_close(p.sum(dim=1) * 6 / 300, torch.ones(300), rtol=1e-4, atol=1e-4)


# --- settings


def test_the_papers_values_are_the_defaults():
    ebm, gaussian = (load_settings("toy", name).settings() for name in ("ebm", "gaussian"))
    for s in (ebm, gaussian):
        assert (s.epochs, s.batch_size, s.samples_per_epoch, s.data) == (75, 32, 2000, "1")
    assert (ebm.loss.kind, ebm.loss.num_samples, ebm.loss.sigmas, ebm.net) == ("nll", 1024, (0.1, 0.8), "paper")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ebm", "--loss.num_samples", "0"], "num_samples must be at least 1"),
        (["ebm", "--loss.kind", "sm"], "choose --net smooth"),
        (["ebm", "--loss.sigmas", "0.1", "-1"], "sigmas must be positive"),
        (["gaussian", "--samples_per_epoch", "0"], "samples_per_epoch is 0"),
        (["ebm", "--loss.kind", "least_squares"], "invalid choice"),
        (["gaussian", "--data", "3"], "invalid choice"),
    ],
)
def test_bad_options_are_one_sentence(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        train(tmp_path, *arguments)
    assert caught.value.code == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
