"""The three systems train, by the command that a user gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltr.commands.train import main
from ltr.common.seeds import seed_everything, seed_for_build
from ltr.models.bbreg import AtomNetConfig, load_atom_net
from ltr.train_settings.registry import load_settings
from ltr.trainers.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
SYSTEMS = ("atom", "atom_star", "ebm")


# --- a miniature, through the command line


@pytest.fixture(scope="module")
def miniature(module_folder) -> Path:
    """Rectangles in one colour on noise: 30 stills and two short videos."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(46):
        w, h = rng.integers(25, 60, 2).tolist()
        x, y = rng.integers(5, 160 - w - 5), rng.integers(5, 120 - h - 5)
        image = rng.integers(0, 120, (120, 160, 3), dtype=np.uint8)
        image[y : y + h, x : x + w] = (230, 200, 40 * (n % 5))
        Image.fromarray(image).save(module_folder / f"{n}.png")
        row = {"file": f"{n}.png", "set": "mini", "boxes": [[int(x), int(y), w, h]]}
        rows.append(row if n < 30 else {**row, "sequence": f"run{n % 2}", "frame": n})
    (module_folder / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return module_folder


TINY = """
    --device cpu --workers 0 --epochs 4 --samples_per_epoch 64 --batch_size 8 --val_every 1 --schedule.warmup 0.3
    --data.sets stills video --data.proportions 1 1 --data.val_sets stills --data.val_samples 16
    --data.feature_cache 24 --model.channels 16 16 --model.hidden 24 24 --proposals.num_samples 24 --optimizer.lr 5e-3
""".split()


@pytest.mark.parametrize("name, loss", [*((name, None) for name in SYSTEMS), ("ebm", "nce_plus")])
def test_training_by_command_lowers_the_validation_loss(name, loss, miniature, tmp_path_factory, monkeypatch):
    workspace = miniature / "workspace"  # shared: the systems use one cache of features
    run = loss or name
    arguments = ["bbreg", name, "--workspace", str(workspace), "--run_name", run, *TINY]
    if loss is not None:
        arguments += ["--loss", loss]
    if run == "ebm":
        done = subprocess.run(
            [sys.executable, str(ROOT / "ltr" / "run_training.py"), *arguments],
            env={**os.environ, "EBM_IMAGE_FOLDER": str(miniature), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path_factory.mktemp("elsewhere"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    else:  # as the command does it, without starting Python anew
        monkeypatch.setenv("EBM_IMAGE_FOLDER", str(miniature))
        assert main(arguments) == 0

    folder = workspace / "checkpoints" / "ltr" / "bbreg" / run
    history = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [line["val"]["loss"] for line in history]
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert all(0 <= line["val"]["refined_iou"] <= 1 for line in history)
    assert len([f for f in (workspace / "feature_cache").iterdir() if f.is_dir()]) == 2  # training and validation
    for file in ("last.pth", f"{name}_final.safetensors"):
        assert load_atom_net(folder / file, backbone="efficientnet_lite0").config.channels == (16, 16)


# --- the small data


@pytest.fixture(scope="module")
def workspace(module_folder) -> Path:
    return module_folder / "workspace"


def validate(actor, data) -> dict[str, float]:
    """Mean statistics over a validation set, with the same candidates every time."""
    actor.eval()
    seed_everything(1)
    batches = [torch.utils.data.default_collate([data[k] for k in range(i, i + 16)]) for i in range(0, len(data), 16)]
    with torch.no_grad():
        found = [actor(batch)[1] for batch in batches]
    return {name: float(sum(stats[name] for stats in found) / len(found)) for name in found[0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_100_steps_on_the_small_data(name, shared_data, workspace, monkeypatch):
    """Validation loss falls and refined boxes improve."""
    monkeypatch.setenv("EBM_IMAGE_FOLDER", str(shared_data / "train"))
    definition = load_settings("bbreg", name)
    s = definition.settings()
    s.device, s.workers, s.workspace, s.precision = "cpu", 0, workspace, "32-true"
    s.epochs, s.samples_per_epoch, s.batch_size, s.val_every = 1, 800, 8, 1
    s.data.sets, s.data.proportions, s.data.val_sets = ("stills", "video"), (2.0, 1.0), ("stills", "video")
    s.data.feature_cache, s.data.val_samples = 100, 32
    s.proposals.num_samples = min(s.proposals.num_samples, 32)
    s.model = AtomNetConfig(channels=(32, 32), hidden=(64, 64))  # narrower than it is shipped, a fraction of the time
    seed_for_build(s.seed)
    task = definition.build(s)
    before = validate(task.actor, task.val_data)
    trainer = Trainer(s, task, workspace / name, name)
    assert trainer.train() and trainer.global_step == 100
    after = validate(task.actor, task.val_data)
    assert after["loss"] < before["loss"]
    assert after["refined_iou"] > before["refined_iou"]
