"""Comparing and waiting."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

T = TypeVar("T")


def same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    """Whether two dictionaries have the same names and bit-identical tensors."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def wait_for(what: Callable[[], T], seconds: float = 60.0) -> T:
    """Calls `what` until it returns a true value, and returns that."""
    end = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds} seconds in vain"
        time.sleep(0.02)
