"""Seeding of the global random generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from ltr.common.errors import UserError

_BUILD = 2  # the stream of random numbers that initial weights come from; a training's steps have the streams 0 and 1


def seed_everything(*key: int) -> None:
    """Seed Python's, numpy's and torch's global generators (every device) from a tuple of integers."""
    numbers = np.random.SeedSequence(key).generate_state(3, np.uint64)
    random.seed(int(numbers[0]))
    np.random.seed(int(numbers[1]) & 0xFFFFFFFF)
    torch.manual_seed(int(numbers[2]) >> 1)


def seed_for_build(seed: int) -> None:
    """Seed the generators before a task is built, so that initial weights depend on the seed alone.

    Raises:
        UserError: the seed is negative.
    """
    if seed < 0:
        raise UserError(f"--seed is {seed}; it must be at least 0.")
    seed_everything(seed, _BUILD)
