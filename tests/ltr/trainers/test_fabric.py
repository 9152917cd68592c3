"""Which processes train together: those that torchrun started, and no others."""

import logging

import pytest
import torch

from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings
from ltr.trainers import fabric
from ltr.trainers.fabric import make_fabric

LEFT_OVER = {
    "a cluster's script": {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "node1"},
    "its size alone": {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
    "srun": {
        "SLURM_NTASKS": "4",
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": "1234567",
        "SLURM_PROCID": "2",
        "SLURM_LOCALID": "2",
        "SLURM_NODEID": "0",
    },
    "srun with tasks per node": {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": "1234567",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    },
    "a part of torchrun's": {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"},
    "Open MPI": {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """The tests too may run in a cluster's job."""
    for name in {"TORCHELASTIC_RUN_ID", *(name for variables in LEFT_OVER.values() for name in variables)}:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variables", LEFT_OVER.values(), ids=LEFT_OVER)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_process_that_torchrun_did_not_start_trains_alone(monkeypatch, caplog, variables, precision):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        fabric = make_fabric(TrainSettings(device="cpu", precision=precision))
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
    fabric.launch()
    fabric.barrier()
    (size,) = (
        f"{name}={value}"
        for name, value in variables.items()
        if name.endswith(("WORLD_SIZE", "NTASKS")) and not name.startswith("LOCAL")
    )
    assert f"{size} is ignored: this process trains alone" in caplog.text


def test_a_process_alone_says_nothing(monkeypatch, caplog):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert make_fabric(TrainSettings(device="cpu")).world_size == 1
    assert not caplog.text


def test_what_torchrun_starts_trains_together(monkeypatch):
    started = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1", "GROUP_RANK": "1"}
    for name, value in {**started, "TORCHELASTIC_RUN_ID": "none", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric(TrainSettings(device="cpu"))
    assert (fabric.world_size, fabric.global_rank, fabric.local_rank) == (4, 3, 1)


def test_apples_gpu_trains_alone_and_without_half_floats(monkeypatch):
    monkeypatch.setattr(fabric, "choose_device", torch.device)
    with pytest.raises(UserError, match="--precision 16-mixed needs a CUDA device"):
        make_fabric(TrainSettings(device="mps", precision="16-mixed"))
    started = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1", "GROUP_RANK": "0"}
    for name, value in {**started, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="--device mps trains in one process"):
        make_fabric(TrainSettings(device="mps"))
