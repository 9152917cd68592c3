"""The form in which a system that can be trained is registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ltr.dataset import LabelledImages
from ltr.trainers.task import Task


@dataclass(frozen=True)
class Recipe:
    """One system: its settings, and how they become a training task.

    Attributes:
        summary: what the system is, in one sentence.
        settings: returns new settings of the system, a dataclass derived from `ltr.common.settings.TrainSettings`.
        build: turns such settings into the task that they describe.
        images: reads the part 'train', 'val' or 'test' of the data that such settings name (age and head pose).
    """

    summary: str
    settings: Callable[[], Any]
    build: Callable[[Any], Task]
    images: Callable[[Any, Any], LabelledImages] | None = None
