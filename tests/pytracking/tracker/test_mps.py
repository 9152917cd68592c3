"""What Apple's GPUs lack is not used: the torch forms on a stand-in without float64 and complex numbers."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from ltr.common.device import usable_device
from ltr.common.errors import UserError
from ltr.dataset.generated import benchmark_scene
from ltr.ops import dense, kernels, reference
from pytracking import Tracker
from pytracking.tracker.atom import network
from tests.helpers.without_double import WithoutDouble


@pytest.fixture
def torch_forms(monkeypatch):
    monkeypatch.setattr(dense, "available", lambda: False)
    monkeypatch.setattr(kernels, "FOUND", {})
    network._load.cache_clear()
    yield
    network._load.cache_clear()


def tensors_of(tracker) -> list[torch.Tensor]:
    net = tracker.network
    modules = [module for module in (net.backbone, net.classification, net.head.head, *net.head.branches) if module]
    inside = itertools.chain.from_iterable((*module.parameters(), *module.buffers()) for module in modules)
    levels = [tensor for level in net.head.evaluate.levels for tensor in (level.weight, level.bias, level.out)]
    return [*inside, *levels, net.scale, net.shift]


@pytest.mark.parametrize("param", ["ebm", "default"])
def test_a_sequence_needs_no_double(param, torch_forms):
    scene = benchmark_scene("rotation")
    little = ["--density.num_cells", "6", "--density.num_samples", "64"]
    tracker = Tracker("atom", param, "cpu", overrides=little)
    tracker.observer = [].append
    with WithoutDouble(tensors_of(tracker)) as mode:
        tracker.initialize(scene.render(0), scene.boxes()[0])
        outputs = [tracker.track(scene.render(k), density=True) for k in (1, 2)]
        tracker.classifier.update()
    assert all(np.isfinite(out.box).all() for out in outputs)
    assert (outputs[-1].density is None) == (param == "default")
    assert len(mode.operators) > 30 and not any("ebm_regression" in name for name in mode.operators)
    assert not any("fft" in name for name in mode.operators)


def test_the_stand_in_refuses_what_the_device_lacks():
    weight = torch.ones(2, 2)
    with WithoutDouble([weight]), pytest.raises(AssertionError, match="float64"):
        (weight @ weight).double()
    with WithoutDouble([weight]):
        assert (weight @ weight).cpu().double().dtype == torch.float64


def test_kernels_are_not_chosen_there():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.choose(torch.empty(1, 2, 3, 3, device="meta")) is reference.prroi_pool


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has such a GPU")
def test_without_such_a_gpu_one_sentence_says_so():
    with pytest.raises(UserError, match=r"'mps' cannot be used \(PyTorch finds no Apple GPU .*\); choose"):
        usable_device("mps")
