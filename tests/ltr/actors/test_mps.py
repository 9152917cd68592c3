"""A training step has nothing that Apple's GPUs lack: every actor on a stand-in without float64."""

import itertools
from typing import get_args

import pytest
import torch
from torch.utils._pytree import tree_flatten

from ltr.actors.bbreg import BBRegActor, BBRegRefinementSettings
from ltr.actors.regression import BaselineActor, BaselineKind, EnergyActor, EnergyLossSettings
from ltr.models.bbreg import AtomNet, AtomNetConfig
from ltr.ops import dense, kernels
from tests.helpers.without_double import REFUSED, WithoutDouble
from tests.ltr.actors import test_bbreg, test_detection, test_regression


@pytest.fixture(autouse=True)
def torch_forms(monkeypatch):
    monkeypatch.setattr(dense, "available", lambda: False)
    monkeypatch.setattr(kernels, "FOUND", {})


def step_on_stand_in(actor, batch, low_precision=False):
    """A step, and a validation of the same batch."""
    values = [value for value in tree_flatten(batch)[0] if isinstance(value, torch.Tensor)]
    assert not {value.dtype for value in values} & REFUSED  # the batch itself goes to the device
    optimizer = torch.optim.AdamW(actor.trainable_parameters(), foreach=False)
    inside = itertools.chain(actor.parameters(), actor.buffers())
    with WithoutDouble([*inside, *values]) as mode, torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
        loss, stats = actor.train()(batch)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in actor.trainable_parameters() if p.grad is not None])
        optimizer.step()
        with torch.no_grad():
            validation, held_out = actor.eval()(batch)
    assert all(map(torch.isfinite, (loss, norm, validation)))
    assert len(mode.operators) > 20 and not any("ebm_regression" in name for name in mode.operators)


@pytest.mark.parametrize(
    ("system", "low_precision"), [*((system, False) for system in test_bbreg.SYSTEMS), ("ebm", True)]
)
def test_box_networks(system, low_precision):
    net = AtomNet(AtomNetConfig(channels=(8, 8), hidden=(8, 8)))
    actor = BBRegActor(net, *test_bbreg.SYSTEMS[system], BBRegRefinementSettings())
    step_on_stand_in(actor, test_bbreg.images(2), low_precision)


@pytest.mark.parametrize("system", ["iou_net", "ebm", "gaussian"])  # each kind of branch
def test_detectors(system):
    step_on_stand_in(test_detection.make_actor(system), test_detection.make_batch(*test_detection.SIZES))


@pytest.mark.parametrize("kind", test_regression.KINDS)
def test_energies_of_age_head_pose_and_toy(kind):
    settings = EnergyLossSettings(kind=kind, num_samples=16, sigmas=(0.2, 1.0))
    step_on_stand_in(
        EnergyActor(test_regression.SmallNet(), settings), {"x": torch.randn(6, 3), "label": torch.randn(6, 2)}
    )


class Outputs(test_regression.SmallNet):
    """A head of two values or logits for each of two targets."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.last = kind, torch.nn.Linear(3, 28)

    def output(self, x):
        values = self.last(x).unflatten(1, (2, 14))
        if self.kind.startswith("softmax"):
            return values[..., :7]
        return values[..., 0] if self.kind.startswith("direct") else (values[..., 0], values[..., 1])


@pytest.mark.parametrize("kind", get_args(BaselineKind))
def test_baselines(kind):
    bins = test_regression.BINS if kind.startswith("softmax") else None
    actor = BaselineActor(Outputs(kind), kind, bins)
    step_on_stand_in(actor, {"x": torch.randn(6, 3), "label": torch.randn(6, 2)})
