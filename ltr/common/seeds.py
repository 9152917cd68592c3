"""Seeding of the global random generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from ltr.common.errors import UserError

# The streams of random numbers of a training: of its steps, of its validations, and of its initial weights.
TRAINING_STREAM, VALIDATION_STREAM, BUILD_STREAM = 0, 1, 2


def seed_everything(*key: int) -> None:
    """Seed Python's, numpy's and torch's global generators (every device) from a tuple of integers."""
    numbers = np.random.SeedSequence(key).generate_state(3, np.uint64)
    random.seed(int(numbers[0]))
    np.random.seed(int(numbers[1]) & 0xFFFFFFFF)
    torch.manual_seed(int(numbers[2]) >> 1)


def seed_for_build(seed: int) -> None:
    """Seed the generators before building a task, so that initial weights depend on the seed alone.

    Raises:
        UserError: if the seed is negative.
    """
    if seed < 0:
        raise UserError(f"--seed is {seed}; it must be at least 0.")
    seed_everything(seed, BUILD_STREAM)
