"""Ten steps of `bbreg ebm` in each way, by the trainer, from the same weights, on the same pairs and candidates."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ebm_common import GaussianMixtureProposal
from ltr.actors.bbreg import BBRegActor
from ltr.common.device import DeviceChoice
from ltr.common.seeds import seed_for_build
from ltr.data.sampling import BoxPairs
from ltr.dataset.generated import Generated
from ltr.models.bbreg import AtomNet
from ltr.train_settings.bbreg import ebm
from ltr.trainers.task import Task
from ltr.trainers.trainer import Trainer
from pytracking.check.jobs import JobError, run_job
from pytracking.check.networks import use_full_float32
from pytracking.check.results import Result
from pytracking.check.ways import PLAIN, Way, ways

SECONDS = 300.0
STEPS, BATCH = 10, 8
FIRST, ANY = 1e-3, 0.05
"""Largest difference of the loss from plain PyTorch's, in nats: in the first step, and in any. Weights part by and by,
since Adam's first steps are as long for a gradient of mere rounding as for any other."""
MIXED = 0.5
"""The same for bf16-mixed, in any step."""


class CandidatesOfTheCpu(GaussianMixtureProposal):
    """Draws on the CPU: another device has other random numbers."""

    def sample(self, center: Tensor, num_samples: int, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(center.cpu(), num_samples, generator).to(center.device)


def run(devices: Sequence[str], quick: bool) -> Iterator[Result]:
    """Results for each way, and for bf16-mixed on a GPU, as soon as they are there."""
    steps = 2 if quick else STEPS
    try:
        expected = next(_train(PLAIN, "32-true", steps))
    except JobError as error:
        yield Result(f"training, {PLAIN.name}", "FAIL", f"its process {error}")
        return
    trainings = [(way, "32-true") for way in ways(devices)]
    trainings += [(way, "bf16-mixed") for way in ways(devices) if way.device == "cuda"]
    for way, precision in trainings:
        try:
            found = next(_train(way, precision, steps))
        except JobError as error:
            yield Result(f"training, {way.name}, {precision}", "FAIL", f"its process {error}")
        else:
            yield from compare(f"{way.name}, {precision}", precision, found, expected)


def _train(way: Way, precision: str, steps: int) -> Iterator[dict[str, Any]]:
    return run_job(f"{__name__}:train", SECONDS, way.environment, device=way.device, precision=precision, steps=steps)


def compare(way: str, precision: str, found: dict[str, Any], expected: dict[str, Any]) -> Iterator[Result]:
    """What :func:`train` gave in one way, against plain PyTorch."""
    ours, theirs = found["losses"], expected["losses"]
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    first, largest = (FIRST, ANY) if precision == "32-true" else (MIXED, MIXED)
    good = differences[0] <= first and all(d <= largest for d in differences)  # False for NaN, too
    detail = (
        f"losses {ours[0]:.4f} to {ours[-1]:.4f} in {len(ours)} steps; plain PyTorch's differ by {differences[0]:.1e} "
        f"in the first (at most {first:g}), {max(differences):.1e} in any (at most {largest:g})"
    )
    figures = {"losses": ours, "plain": theirs}
    yield Result(f"training, {way}", "PASS" if good else "FAIL", detail, figures)
    if len(ours) > 3:
        seconds = statistics.median(found["seconds"][2:])
        detail = f"{1e3 * seconds:.0f} ms a step of {BATCH} pairs, {BATCH / seconds:.0f} pairs/s, one loader process"
        yield Result(f"speed of training, {way}", "info", detail, {"seconds": found["seconds"]})


def train(device: DeviceChoice, precision: Literal["32-true", "bf16-mixed"], steps: int) -> Iterator[dict[str, Any]]:
    """The job: the loss of each step, and the seconds between them."""
    use_full_float32()
    settings = ebm.settings()
    settings.device, settings.precision = device, precision
    settings.epochs, settings.samples_per_epoch, settings.batch_size = 1, steps * BATCH, BATCH
    seed_for_build(settings.seed)
    actor = BBRegActor(AtomNet(settings.model), settings.proposals, settings.loss, settings.refinement)
    actor.mixture.__class__ = CandidatesOfTheCpu
    losses: list[float] = []
    moments: list[float] = []

    def keep(module: torch.nn.Module, given: Any, out: tuple[Tensor, dict[str, Tensor]]) -> None:
        losses.append(float(out[0].detach()))
        moments.append(time.perf_counter())

    actor.register_forward_hook(keep)
    pairs = BoxPairs([Generated(20)], [1.0], steps * BATCH, 30, settings.crop, settings.seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        Trainer(settings, Task(actor, pairs), Path(folder), "check").train()
    yield {"losses": losses, "seconds": [b - a for a, b in itertools.pairwise(moments)]}
