"""Several trackers, on one frame or on one frame each, at the cost of shared passes through their network.

A tracker that can share its passes writes a frame as a generator, :meth:`BaseTracker.track_steps`: it yields each
:class:`SharedStep`, such as a pass through the backbone, and goes on with its answer. One tracker by itself has each
step computed as it comes (:func:`run_alone`). Of several trackers, the steps that fit together are computed at once
(:func:`track_together`), and each tracker gets the answer that it would get alone, up to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Generator, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch

from ltr.ops.team import team

if TYPE_CHECKING:
    from pytracking.tracker.base import BaseTracker, TrackerOutput

T = TypeVar("T")
Steps = Generator["SharedStep", Any, T]
"""A computation that yields its shared steps, is sent their answers, and returns a T."""


class SharedStep(ABC):
    """A part of a frame's work that can be computed for several targets at once.

    Attributes:
        stage: its place in a frame. Steps of a later stage wait for those of an earlier one, so that trackers of which
            one has more to do meet again.
    """

    stage: ClassVar[int]

    @abstractmethod
    def key(self) -> Hashable:
        """Steps of one class with equal keys can be computed at once."""

    @staticmethod
    @abstractmethod
    def compute(steps: Sequence[Any]) -> list[Any]:
        """The answer to each of the steps, whose keys are equal."""


@torch.no_grad()
@team()
def run_alone(steps: Steps[T]) -> T:
    """Compute each step as it comes, and return the result."""
    try:
        step = next(steps)
        while True:
            step = steps.send(step.compute([step])[0])
    except StopIteration as end:
        return end.value


@torch.no_grad()
@team()
def track_together(
    trackers: Sequence[BaseTracker], image: np.ndarray | Sequence[np.ndarray], density: bool = False
) -> list[TrackerOutput]:
    """Track several targets in the next frame, with one pass through the network for all of them.

    The targets can be those of one video, or of many that a GPU tracks side by side. Boxes are those of
    `tracker.track(image, density)` for each tracker, up to rounding. Trackers that share no passes, such as OpenCV's,
    track one after the other.

    Args:
        trackers: each initialised with a target of its own.
        image: uint8 (H, W, 3) RGB; a list of images, of any sizes, has one for each tracker.
        density: whether the outputs have a density.

    Raises:
        UserError: if an image cannot be used.
        ValueError: if there is not one image for each tracker.
    """
    images = image if isinstance(image, list | tuple) else [image] * len(trackers)
    if len(images) != len(trackers):
        raise ValueError(f"{len(trackers)} trackers cannot track in {len(images)} images: each needs one")
    runs = [tracker.track_steps(frame, density) for tracker, frame in zip(trackers, images, strict=True)]
    outputs: dict[int, TrackerOutput] = {}
    waiting: dict[int, SharedStep] = {}

    def advance(number: int, answer: Any) -> None:
        try:
            waiting[number] = runs[number].send(answer)
        except StopIteration as end:
            outputs[number] = end.value

    for number in range(len(runs)):
        advance(number, None)
    while waiting:
        stage = min(step.stage for step in waiting.values())
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for number, step in waiting.items():
            if step.stage == stage:
                groups[type(step), step.key()].append(number)
        for numbers in groups.values():
            steps = [waiting.pop(number) for number in numbers]
            for number, answer in zip(numbers, steps[0].compute(steps), strict=True):
                advance(number, answer)
    return [outputs[number] for number in range(len(runs))]
