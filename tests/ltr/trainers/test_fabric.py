"""Which processes train together: those that torchrun started, and no others."""

import logging

import pytest
import torch

from ltr.common.errors import UserError
from ltr.common.settings import TrainSettings
from ltr.trainers import fabric, processes
from ltr.trainers.fabric import make_fabric, training_device
from ltr.trainers.processes import Processes

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


def fabric_of(settings):
    found = Processes(1.0)
    return make_fabric(settings, found, training_device(settings, found))


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """The tests too may run in a cluster's job."""
    for name in {
        "TORCHELASTIC_RUN_ID",
        "GROUP_WORLD_SIZE",
        *(name for variables in LEFT_OVER.values() for name in variables),
    }:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variables", LEFT_OVER.values(), ids=LEFT_OVER)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_process_that_torchrun_did_not_start_trains_alone(monkeypatch, caplog, variables, precision):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        fabric = fabric_of(TrainSettings(device="cpu", precision=precision))
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)
    fabric.barrier()
    (size,) = (
        f"{name}={value}"
        for name, value in variables.items()
        if name.endswith(("WORLD_SIZE", "NTASKS")) and not name.startswith("LOCAL")
    )
    assert f"{size} is ignored: this process trains alone" in caplog.text


def test_a_process_alone_says_nothing(monkeypatch, caplog):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert fabric_of(TrainSettings(device="cpu")).world_size == 1
    assert not caplog.text


def test_what_torchrun_started(monkeypatch):
    started = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0", "GROUP_WORLD_SIZE": "2"}
    for name, value in {**started, "TORCHELASTIC_RUN_ID": "none", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    joined = []
    monkeypatch.setattr(processes.distributed, "init_process_group", lambda *options, **more: joined.append(options))
    monkeypatch.setattr(processes.distributed, "new_group", lambda **options: None)
    monkeypatch.setattr(processes.distributed, "all_gather_object", lambda values, value, group: None)
    found = Processes(1.0)
    assert (found.world, found.rank, found.local_rank, found.of_machine, found.machines) == (4, 3, 0, 1, 2) and joined
    assert (found.is_first, found.is_first_of_machine) == (False, True)
    with pytest.raises(UserError, match="--device mps trains in one process"):
        monkeypatch.setattr(fabric, "choose_device", torch.device)
        training_device(TrainSettings(device="mps"), found)
    with pytest.raises(UserError, match=r"1 processes and 0 GPUs on this machine; .*--nproc-per-node"):
        monkeypatch.setattr(fabric.torch.cuda, "device_count", lambda: 0)
        training_device(TrainSettings(device="cuda"), found)


def test_apples_gpu_trains_without_half_floats(monkeypatch):
    monkeypatch.setattr(fabric, "choose_device", torch.device)
    with pytest.raises(UserError, match="--precision 16-mixed needs a CUDA device"):
        fabric_of(TrainSettings(device="mps", precision="16-mixed"))


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_senseless_patience_is_refused(minutes):
    with pytest.raises(UserError, match="--timeout_minutes is"):
        Processes(minutes)
