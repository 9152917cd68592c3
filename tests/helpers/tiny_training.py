"""A training of milliseconds, for the tests; as a script it trains in a process of its own.

python tiny_training.py FOLDER SETTINGS_AS_JSON [KILL_AT]: with KILL_AT, SIGKILL comes in the middle of that step.
"""

import copy
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from ltr.actors.base import Actor
from ltr.common.errors import UserError
from ltr.common.provenance import library_versions
from ltr.common.seeds import seed_for_build
from ltr.common.settings import OptimizerSettings, TrainSettings
from ltr.trainers import alike
from ltr.trainers.task import Task
from ltr.trainers.trainer import Trainer

DEFAULTS = dict(
    epochs=3,
    samples_per_epoch=40,
    batch_size=8,
    workers=0,
    val_every=1,
    checkpoint_minutes=0.0,
    log_every=2,
    device="cpu",
    optimizer=OptimizerSettings(lr=0.02),
)


class Line(Dataset):
    """Noisy samples of a line, each a function of its number; the one numbered `broken` cannot be read."""

    def __init__(self, length: int, stream: int = 0, broken: int | None = None) -> None:
        self.length, self.stream, self.broken = length, stream, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, torch.Tensor | int]:
        if k == self.broken:
            raise UserError(f"cannot read {k}.jpg: it is truncated")
        generator = np.random.default_rng([self.stream, k])
        x = generator.normal(size=3)
        y = x @ [1.0, -2.0, 0.5] + 0.1 * generator.normal()
        return {"k": k, "x": torch.tensor(x, dtype=torch.float32), "y": torch.tensor(y, dtype=torch.float32)}


class TinyActor(Actor):
    """Regression with noise from every random generator, so that a wrong random state shows in the weights."""

    def __init__(self, noise: float = 0.1, norm: bool = True) -> None:
        super().__init__()
        self.noise = noise
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Linear(8, 1)
        )
        self.frozen = nn.Linear(1, 1)
        self.calls = 0
        self.before_step = lambda actor: None
        self.seen: list[int] = []

    def trainable_parameters(self) -> list[nn.Parameter]:
        return list(self.net.parameters())

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch):
        if self.training:
            self.calls += 1
            self.seen += batch["k"].tolist()
            self.before_step(self)
        draws = torch.randn(len(batch["y"]), device=batch["y"].device) + float(np.random.normal()) + random.random()
        prediction = self.net(batch["x"])[:, 0] + self.frozen.bias
        loss = (prediction - batch["y"] - self.noise * draws).square().mean()
        return loss, {"error": loss.detach().sqrt(), "one": 1.0}


def make_settings(**changes) -> TrainSettings:
    return TrainSettings(**{**copy.deepcopy(DEFAULTS), **changes})


def make_trainer(
    folder: Path,
    settings: TrainSettings | None = None,
    actor: TinyActor | None = None,
    data: Dataset | None = None,
    **task,
) -> Trainer:
    settings, actor = settings or make_settings(), actor or TinyActor()
    seed_for_build(settings.seed)  # initial weights are a function of the seed, wherever the actor was made
    actor.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
    return Trainer(
        settings, Task(actor, data or Line(10**9), **{"val_data": Line(21, stream=1), **task}), folder, "tiny"
    )


def train_rank(folder: Path, changes: dict[str, Any], events: dict[int, str | float] | None = None) -> dict[str, Any]:
    """Trains in one of several processes; returns how it ended.

    Args:
        folder: of this process.
        changes: of the settings, options of the actor and the data, and versions that this process says it has.
        events: what happens in this process in its steps, by their number: a signal's name, "exit", or seconds to
            wait.
    """
    torch.set_num_threads(1)
    versions = {**library_versions(), **changes.get("versions", {})}
    alike.library_versions = lambda: versions
    options = {name: changes[name] for name in ("noise", "norm", "stream", "broken", "versions") if name in changes}
    settings = make_settings(**{name: value for name, value in changes.items() if name not in options})
    options.pop("versions", None)
    data = Line(10**9, options.pop("stream", 0), options.pop("broken", None))
    actor = TinyActor(**options)

    def happens(actor: TinyActor) -> None:
        event = (events or {}).get(actor.calls)
        if isinstance(event, float):
            time.sleep(event)
        elif event == "exit":
            os._exit(1)
        elif event is not None:
            os.kill(os.getpid(), getattr(signal, event))

    actor.before_step = happens
    trainer = make_trainer(folder, settings, actor, data)
    finished = trainer.train()
    trainer.processes.close()
    return {
        "finished": finished,
        "signal": trainer.stop_signal,
        "step": trainer.global_step,
        "seen": actor.seen,
        "history": trainer.history,
    }


def main() -> None:
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    actor_options = {name: changes.pop(name) for name in ("noise", "norm") if name in changes}
    actor = TinyActor(**actor_options)
    if len(sys.argv) > 3:
        kill_at = int(sys.argv[3])

        def before_step(actor: TinyActor) -> None:
            if actor.calls > kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        actor.before_step = before_step
    make_trainer(folder, make_settings(**changes), actor).train()


if __name__ == "__main__":
    main()
