"""How fast trackers were, from the seconds that each frame took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ltr.common.errors import UserError

DEFINITION = "FPS is frames / seconds of a sequence, its first frame included, averaged over sequences"


class Timed(Protocol):
    """Results that have the seconds of each frame, such as `TrackerResults`."""

    def times(self, sequence: str) -> np.ndarray | None: ...


@dataclass(frozen=True)
class Speed:
    """Frames per second of one tracker.

    Attributes:
        by_sequence: frames divided by seconds, where times were recorded.
        fps: its mean over these sequences.
        toolkit: what the got10k toolkit reports: the mean of 1 / seconds over the frames, which a few fast frames lift.
            Averaged over sequences; on GOT-10k over the frames of all sequences.
    """

    by_sequence: dict[str, float] = field(default_factory=dict)
    fps: float | None = None
    toolkit: float | None = None


def measure_speed(result: Timed, sequences: Iterable[str], pool_frames: bool = False) -> Speed:
    """The speed on some sequences. Times that cannot be read count as not recorded, which takes nothing from the boxes.

    Args:
        result: has the times.
        sequences: names.
        pool_frames: average the toolkit's rates over all frames, as on GOT-10k.
    """
    by_sequence, rates = {}, []
    for name in sequences:
        try:
            times = result.times(name)
        except UserError:
            continue
        if times is None or not times.sum() > 0:
            continue
        by_sequence[name] = len(times) / float(times.sum())
        rates.append(1 / times[times > 0])
    if not by_sequence:
        return Speed()
    toolkit = np.concatenate(rates).mean() if pool_frames else np.mean([rate.mean() for rate in rates])
    return Speed(by_sequence, float(np.mean(list(by_sequence.values()))), float(toolkit))


def mean_speed(runs: Sequence[Speed]) -> Speed:
    """The mean over runs, of those that have times."""
    names = dict.fromkeys(name for run in runs for name in run.by_sequence)
    return Speed(
        {name: float(np.mean([r.by_sequence[name] for r in runs if name in r.by_sequence])) for name in names},
        _mean([run.fps for run in runs]),
        _mean([run.toolkit for run in runs]),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def speed_notes(speeds: Mapping[str, Speed]) -> list[str]:
    """What the column FPS is, and what the got10k toolkit would report, by tracker; nothing without times."""
    rates = [f"{name} {speed.toolkit:.1f}" for name, speed in speeds.items() if speed.toolkit is not None]
    if not rates:
        return []
    return [f"{DEFINITION}; the got10k toolkit's mean of 1 / seconds over frames: {', '.join(rates)}"]
