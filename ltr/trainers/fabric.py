"""Lightning Fabric as the settings ask for it: device, precision and processes."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy

from ltr.common.device import choose_device
from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings
from ltr.trainers.processes import Processes

logger = logging.getLogger(__name__)

_OF_CLUSTERS = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")  # how many processes a cluster's job has


def training_device(settings: TrainSettings, processes: Processes) -> str:
    """The kind of device on which a process trains, such as 'cuda'.

    Whatever a cluster's job has left in the environment, a process that torchrun did not start trains alone: it would
    wait for others that never come.

    Raises:
        UserError: if the device is absent, serves fewer processes, or does not have the precision.
    """
    kind = choose_device(settings.device).type
    if settings.precision == "16-mixed" and kind != "cuda":
        raise UserError("--precision 16-mixed needs a CUDA device. Use bf16-mixed or 32-true.")
    if kind == "mps" and processes.world > 1:
        raise UserError("--device mps trains in one process. Start it without torchrun, or use --device cpu.")
    if kind == "cuda" and processes.of_machine > torch.cuda.device_count():
        raise UserError(
            f"there are {processes.of_machine} processes and {torch.cuda.device_count()} GPUs on this machine; give "
            "torchrun no more --nproc-per-node than GPUs"
        )
    others = [f"{name}={os.environ[name]}" for name in _OF_CLUSTERS if os.environ.get(name, "1") != "1"]
    if others and not processes.by_torchrun:
        logger.warning("%s is ignored: this process trains alone. Start several by torchrun.", ", ".join(others))
    return kind


def make_fabric(settings: TrainSettings, processes: Processes, kind: str) -> Fabric:
    """A Fabric for all processes on devices of a kind, launched."""
    precision = [] if settings.precision == "32-true" else [_ExactInputs(settings.precision, kind)]
    together = DDPStrategy(process_group=processes.gradient_group(kind)) if processes.world > 1 else "auto"
    fabric = Fabric(
        accelerator=kind,
        devices=processes.of_machine,
        num_nodes=processes.machines,
        strategy=together,
        precision="32-true" if settings.precision == "32-true" else None,
        plugins=[_Torchrun() if processes.by_torchrun else LightningEnvironment(), *precision],
    )
    fabric.launch()
    return fabric


class _Torchrun(TorchElasticEnvironment):
    """Machines with different numbers of processes are fine."""

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        pass


class _ExactInputs(MixedPrecision):
    """Autocast of the layers only. Fabric's own makes the batch half precision too, and so rounds boxes and labels."""

    def convert_input(self, data: Any) -> Any:
        return data
