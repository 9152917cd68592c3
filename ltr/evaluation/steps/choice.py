"""The choice of a search beside its network: `refinement.json` in the run's folder, where the evaluation finds it."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ltr.common.files import read_text, write_json
from ltr.common.provenance import file_hash
from ltr.evaluation.tables import writing_to

FILE = "refinement.json"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepChoice:
    """What a search has chosen for a network.

    Attributes:
        step: lambda: one for age and head pose, otherwise those of (position, size).
        decay: eta, or None if the refinement has none.
        iterations: T, for which they were chosen.
        measure: by which, such as 'mean IoU'.
        value: of the measure.
        images: on which, in words.
        annotations: digest of the annotations of these images, or None.
    """

    step: tuple[float, ...]
    decay: float | None
    iterations: int
    measure: str
    value: float
    images: str
    annotations: str | None = None


def keep_choice(weights: Path, choice: StepChoice) -> Path:
    """Writes the choice beside the file of weights for which it holds; returns the file.

    Raises:
        UserError: if the folder cannot be written.
    """
    file = weights.parent / FILE
    with writing_to(file.parent):
        write_json(file, {**_content(file), weights.name: {"weights": file_hash(weights), **asdict(choice)}})
    return file


def kept_choice(weights: Path) -> StepChoice | None:
    """The choice for a file of weights; None if there is none, or it was made for other weights of that name.

    The latter is said, and so is a damaged file.
    """
    entry = _content(weights.parent / FILE).get(weights.name)
    if entry is None:
        return None
    try:
        if entry.pop("weights") != file_hash(weights):
            logger.warning(
                "%s was written for earlier weights of %s and is ignored; ebm-search-steps chooses anew",
                weights.parent / FILE,
                weights.name,
            )
            return None
        choice = StepChoice(tuple(float(value) for value in entry.pop("step")), **entry)
        steps_are_right = choice.step and all(0 < value < math.inf for value in choice.step)
        if not (steps_are_right and 0 < (choice.decay or 1.0) <= 1 and int(choice.iterations) >= 0):
            raise ValueError(choice)
        return replace(choice, value=float(choice.value))
    except (KeyError, TypeError, ValueError):
        logger.warning("%s is damaged and is ignored; ebm-search-steps chooses anew", weights.parent / FILE)
        return None


def origin(choice: StepChoice) -> str:
    """A clause that says where a choice comes from, for the notes of an evaluation."""
    values = " / ".join(f"{value:g}" for value in choice.step)
    return f"The step {values} was chosen by ebm-search-steps on {choice.images} ({choice.measure} {choice.value:.2f})"


def _content(file: Path) -> dict[str, dict[str, Any]]:
    """The entries of all weights; none of them if the file is missing or holds something else."""
    try:
        content = json.loads(read_text(file))
    except (OSError, ValueError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}
