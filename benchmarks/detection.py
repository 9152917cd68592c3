"""Detectors of the ten systems: a training step and detection, on the paper's ResNet-50 at 800 pixels.

Weights are random, since neither depends on them but for what is detected: FC-Cls is biased towards one class, so that
suppression and refinement have a hundred boxes an image to work on, which is more than photographs have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.timing import Table, peak_of_first_step, time_in_turn, where
from ltr.actors.detection import DetectionActor, DetectionProposalSettings
from ltr.models.detection import SYSTEMS, Detector
from ltr.train_settings.detection import settings_for

BATCH = 16
"""Images of a step (C.2); on a CPU only one such step is taken, for its memory, and timed are steps of 2."""
SIDES = (800, 1088)
"""Their height and width: a photograph of 4 : 3."""
OBJECTS = 7
"""In an image: COCO's mean."""


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    sides = (96, 128) if quick else SIDES
    yield partial(_training, 2 if quick else BATCH, sides, device, quick)
    yield partial(_detection, sides, device, quick)


def _training(batch: int, sides: tuple[int, int], device: str, quick: bool) -> Table:
    timed = batch if torch.device(device).type == "cuda" else 2
    table = Table(
        f"A training step: {timed} images of {sides[0]} x {sides[1]}, {OBJECTS} objects each, {where(device)}",
        ["system", "s", "images/s", f"peak memory of {batch} images, GiB"],
    )
    for name in table.within_budget(list(SYSTEMS)):
        step = _step(name, timed, *sides, device)
        timing = time_in_turn({name: step}, device, repeats=2 if quick else 3, warmup=1)[name]
        del step
        peak = peak_of_first_step(_step, [name, 1, 96, 128, device], [name, batch, *sides, device], device)
        memory = "-" if peak is None else f"{peak / 2**30:.1f}"
        table.add([name, f"{timing.median:.2f}", f"{timed / timing.median:.2f}", memory], system=name, peak_bytes=peak,
                  **vars(timing))  # fmt: skip
    table.notes.append("direct: the detector itself but for ResNet's first two stages; others: what they add to it")
    return table


def _detection(sides: tuple[int, int], device: str, quick: bool) -> Table:
    table = Table(
        f"Detection: one image of {sides[0]} x {sides[1]} at a time, {where(device)}", ["system", "ms", "images/s"]
    )
    image = torch.rand(3, *sides, device=device)
    calls = {}
    for name in table.within_budget(list(SYSTEMS)):
        detector = _detector(name, sides, device).eval()
        calls[name] = lambda detector=detector: detector([image])
    for name, timing in time_in_turn(calls, device, repeats=2 if quick else 5, warmup=1).items():
        table.add([name, f"{1e3 * timing.median:.0f}", f"{1 / timing.median:.2f}"], system=name, **vars(timing))
    return table


def _detector(name: str, sides: tuple[int, int], device: str) -> Detector:
    torch.manual_seed(0)
    settings = settings_for(name).detector
    settings.base.min_size, settings.base.max_size = min(sides), max(sides)
    detector = Detector(settings).to(device)
    with torch.no_grad():
        detector.base.roi_heads.box_predictor.cls_score.bias[1] += 3
    return detector


def _step(name: str, batch: int, height: int, width: int, device: str) -> Callable[[], None]:
    actor = DetectionActor(_detector(name, (height, width), device), DetectionProposalSettings()).train()
    parameters = actor.trainable_parameters()
    chosen = {id(parameter) for parameter in parameters}
    for parameter in actor.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    optimizer = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9)
    corner = torch.rand(batch, OBJECTS, 2, device=device) * 0.5
    limits = torch.tensor([width, height], device=device)
    boxes = torch.cat([corner, corner + 0.05 + 0.4 * torch.rand(batch, OBJECTS, 2, device=device)], dim=2)
    labels = torch.randint(1, 91, (batch, OBJECTS), device=device)
    given = {
        "images": [torch.randint(0, 256, (3, height, width), dtype=torch.uint8, device=device) for _ in range(batch)],
        "targets": [{"boxes": b * limits.repeat(2), "labels": k} for b, k in zip(boxes, labels, strict=True)],
    }

    def step() -> None:
        loss, _ = actor(given)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
