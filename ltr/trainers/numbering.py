"""Which samples make which batch: a function of the settings, the process and the position alone.

The samples of an optimiser step are the same for any number of processes. Each process has every `world`-th of them, so
that no sample comes twice and none is left out, whatever divides by what.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ltr.common.settings import TrainSettings


@dataclass(frozen=True)
class Part:
    """What a process computes at once.

    Attributes:
        numbers: of its samples.
        share: how many they are of all samples of the step; 0 for a process that has none, and computes one for
            nothing because the others wait for its gradient.
    """

    numbers: list[int]
    share: float


def parts_of_step(settings: TrainSettings, world: int, rank: int, step: int) -> list[Part]:
    """What a process computes of an optimiser step, in parts whose sizes differ by one at most.

    Args:
        settings: the training's.
        world, rank: number of processes, and which of them this is.
        step: counted from the start of the training.
    """
    samples = _samples_of_step(settings, step)
    own = samples[rank::world]
    if not own:  # of the last batch of an epoch, which may be smaller than the number of processes
        return [Part([samples[0]], 0.0)]
    count = min(settings.accumulate, len(own))
    bounds = [len(own) * k // count for k in range(count + 1)]
    return [Part(list(own[a:b]), (b - a) / len(samples)) for a, b in pairwise(bounds)]


def size_of_step(settings: TrainSettings, step: int) -> int:
    """Number of samples of an optimiser step, of all processes together."""
    return len(_samples_of_step(settings, step))


def _samples_of_step(settings: TrainSettings, step: int) -> range:
    epoch, within = divmod(step, settings.steps_per_epoch)
    first = epoch * settings.samples_per_epoch
    start = within * settings.batch_size
    return range(first + start, first + min(start + settings.batch_size, settings.samples_per_epoch))


def train_batches(settings: TrainSettings, world: int, rank: int, first_step: int) -> Iterator[list[int]]:
    """Sample numbers of each part that a process loads, from a step to the end of the training."""
    for step in range(first_step, settings.epochs * settings.steps_per_epoch):
        for part in parts_of_step(settings, world, rank, step):
            yield part.numbers


def validation_batches(settings: TrainSettings, world: int, rank: int, num_samples: int) -> list[list[int]]:
    """Sample numbers of each batch that a process validates on; together the processes have each sample once."""
    size = max(1, settings.batch_size // (world * settings.accumulate))
    own = range(rank, num_samples, world)
    return [list(own[i : i + size]) for i in range(0, len(own), size)]
