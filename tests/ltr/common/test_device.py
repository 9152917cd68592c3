"""Which device an option stands for."""

import pytest

from ltr.common.device import choose_device
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
