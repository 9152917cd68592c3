"""Lightning Fabric as the settings ask for it: device, precision and processes."""

from __future__ import annotations

import os
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from ltr.common.device import choose_device
from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings


def make_fabric(settings: TrainSettings) -> Fabric:
    """A Fabric for the processes that torchrun started, or for this one alone.

    Raises:
        UserError: if the device is absent, or does not have the precision.
    """
    kind = choose_device(settings.device).type
    if settings.precision == "16-mixed" and kind == "cpu":
        raise UserError("--precision 16-mixed needs a CUDA device. Use bf16-mixed or 32-true.")
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="32-true" if settings.precision == "32-true" else None,
        plugins=None if settings.precision == "32-true" else [_ExactInputs(settings.precision, kind)],
    )


class _ExactInputs(MixedPrecision):
    """Autocast of the layers only. Fabric's own makes the batch half precision too, and so rounds boxes and labels."""

    def convert_input(self, data: Any) -> Any:
        return data
