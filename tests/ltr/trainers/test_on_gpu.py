"""Training on an NVIDIA GPU: pinned batches, half precision, and a run that was interrupted."""

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ltr.data.loading import load_batches
from tests.helpers.comparing import same
from tests.helpers.tiny_training import Line, TinyActor, make_settings, make_trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_lie_in_pinned_memory(workers):
    with load_batches(Line(8), [[0, 1], [2, 3, 4]], workers, pin_memory=True) as batches:
        loaded = list(batches)
    assert [batch["k"].tolist() for batch in loaded] == [[0, 1], [2, 3, 4]]
    assert all(batch["x"].is_pinned() and batch["y"].is_pinned() for batch in loaded)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tiny_final.safetensors")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_an_interrupted_run_equals_an_unbroken_one(tmp_path, precision):
    settings = make_settings(device="cuda", precision=precision, workers=2)
    assert make_trainer(tmp_path / "unbroken", settings).train()
    actor = TinyActor()
    actor.before_step = lambda actor: os.kill(os.getpid(), signal.SIGINT) if actor.calls == 7 else None
    stopped = make_trainer(tmp_path / "stopped", settings, actor)
    assert stopped.train() is False and stopped.global_step == 7
    assert make_trainer(tmp_path / "stopped", settings).train()
    assert same(weights(tmp_path / "stopped"), weights(tmp_path / "unbroken"))


def test_loader_processes_do_not_change_the_result(tmp_path):
    for workers in (0, 2):
        assert make_trainer(tmp_path / str(workers), make_settings(device="cuda", workers=workers)).train()
    assert same(weights(tmp_path / "0"), weights(tmp_path / "2"))
