"""Which samples make which batch: a function of the settings, the process and the position alone."""

from __future__ import annotations

from collections.abc import Iterator

from ltr.common.settings import TrainSettings


def train_batches(settings: TrainSettings, world: int, rank: int, first_step: int) -> Iterator[list[int]]:
    """Sample numbers of each batch that a process loads, from a step to the end of the training.

    A batch is one accumulated part of the process's share of an optimiser step's samples.

    Args:
        settings: the training's.
        world, rank: number of processes, and which of them this is.
        first_step: optimiser steps done already.
    """
    size = settings.batch_size // (world * settings.accumulate)
    for step in range(first_step, settings.epochs * settings.steps_per_epoch):
        epoch, within = divmod(step, settings.steps_per_epoch)
        first = epoch * settings.samples_per_epoch + within * settings.batch_size
        own = range(first + rank, first + settings.batch_size, world)
        for part in range(settings.accumulate):
            yield list(own[part * size : (part + 1) * size])


def validation_batches(settings: TrainSettings, world: int, rank: int, num_samples: int) -> list[list[int]]:
    """Sample numbers of each batch that a process validates on; together the processes have each sample once."""
    size = max(1, settings.batch_size // (world * settings.accumulate))
    own = range(rank, num_samples, world)
    return [list(own[i : i + size]) for i in range(0, len(own), size)]
