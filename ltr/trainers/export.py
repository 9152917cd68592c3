"""The final weights of a training as a file that other programs can read."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
from torch import nn

from ltr.common.files import write_bytes, writing
from ltr.common.plain import to_plain
from ltr.common.provenance import library_versions
from ltr.common.settings import TrainSettings


def export_weights(path: Path, model: nn.Module, settings: TrainSettings, epochs: int) -> None:
    """Write a model as safetensors, with settings, versions and the epochs done as JSON in the header.

    Raises:
        UserError: if the file cannot be written.
    """
    weights = {name: tensor.cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    header = {
        "settings": json.dumps(to_plain(settings)),
        "versions": json.dumps(library_versions()),
        "epochs": str(epochs),
    }
    with writing(path, "choose another --workspace"):
        write_bytes(path, safetensors.torch.save(weights, header))
