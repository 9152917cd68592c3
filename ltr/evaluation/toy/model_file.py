"""Reading the network of a finished training of the toy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ltr.common.errors import UserError
from ltr.common.plain import from_json
from ltr.dataset.toy import TOY_DENSITIES
from ltr.models.regression.toy import ToyEnergyNet, ToyGaussianNet, ToySmoothEnergyNet
from ltr.models.weights_file import read_safetensors

SYSTEM_NAMES = {"gaussian": "Gaussian", "ebm": "Energy-based"}
"""The systems of the toy, and their names in tables and pictures."""


def read_toy_model(file: Path) -> tuple[dict[str, Any], nn.Module]:
    """The settings, as plain data, and the network of a finished training, from its `{system}_final.safetensors`.

    Raises:
        UserError: if the file is missing or damaged, or is something else.
    """
    metadata, state = read_safetensors(file)
    try:
        settings = from_json(metadata["settings"])
        if settings["data"] not in TOY_DENSITIES:
            raise KeyError(settings["data"])
        smooth = settings.get("net") == "smooth"
        gaussian = file.name.startswith("gaussian")
        net = ToyGaussianNet() if gaussian else ToySmoothEnergyNet() if smooth else ToyEnergyNet()
        net.load_state_dict(state)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{file} holds no network of the toy") from error
    return settings, net
