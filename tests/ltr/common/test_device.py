"""Which device an option stands for."""

import pytest
import torch

from ltr.common.device import choose_device, for_sums
from ltr.common.errors import UserError


@pytest.mark.parametrize("there_is_one", [False, True])
def test_device_of_an_option(there_is_one, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there_is_one)
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if there_is_one else "cpu")
    if there_is_one:
        assert choose_device("cuda").type == "cuda"
    else:
        with pytest.raises(UserError, match="--device cuda was asked for"):
            choose_device("cuda")


def test_apples_gpu_is_taken_only_where_it_is_asked_for(monkeypatch):
    """No machine with one has run the tests; it has no float64, so that sums are made on the CPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose_device("auto").type == "cpu"
    assert for_sums(torch.device("mps")).type == "cpu"
    assert for_sums(torch.device("cuda")).type == "cuda"
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(UserError, match="'mps' cannot be used"):
        choose_device("mps")
