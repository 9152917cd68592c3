"""Lightning Fabric as the settings ask for it: device, precision and processes."""

from __future__ import annotations

import logging
import os
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from ltr.common.device import choose_device
from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings

logger = logging.getLogger(__name__)

_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_OF_CLUSTERS = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # how many processes a cluster's job has


def make_fabric(settings: TrainSettings) -> Fabric:
    """A Fabric for the processes that torchrun started, or for this one alone.

    Whatever a cluster's job has left in the environment, a process that torchrun did not start trains alone: it would
    wait for others that never come.

    Raises:
        UserError: if the device is absent, or does not have the precision.
    """
    kind = choose_device(settings.device).type
    if settings.precision == "16-mixed" and kind != "cuda":
        raise UserError("--precision 16-mixed needs a CUDA device. Use bf16-mixed or 32-true.")
    by_torchrun = TorchElasticEnvironment.detect() and all(name in os.environ for name in _OF_TORCHRUN)
    world, local = (int(os.environ[name]) if by_torchrun else 1 for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if kind == "mps" and world > 1:
        raise UserError("--device mps trains in one process. Start it without torchrun, or use --device cpu.")
    others = [f"{name}={os.environ[name]}" for name in _OF_CLUSTERS if os.environ.get(name, "1") != "1"]
    if others and not by_torchrun:
        logger.warning("%s is ignored: this process trains alone. Start several by torchrun.", ", ".join(others))
    precision = [] if settings.precision == "32-true" else [_ExactInputs(settings.precision, kind)]
    return Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="32-true" if settings.precision == "32-true" else None,
        plugins=[TorchElasticEnvironment() if by_torchrun else LightningEnvironment(), *precision],
    )


class _ExactInputs(MixedPrecision):
    """Autocast of the layers only. Fabric's own makes the batch half precision too, and so rounds boxes and labels."""

    def convert_input(self, data: Any) -> Any:
        return data
