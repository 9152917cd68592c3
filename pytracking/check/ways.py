"""The ways to compute the same thing: plain PyTorch on the CPU, which the others are compared with, and the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ltr.ops.kernels import SWITCH


class Way(NamedTuple):
    """How a process computes.

    Attributes:
        name: for the report.
        device: 'cpu' or 'cuda'.
        environment: of the process.
    """

    name: str
    device: str
    environment: dict[str, str]


PLAIN = Way("cpu by plain PyTorch", "cpu", {SWITCH: "torch"})


def ways(devices: Sequence[str]) -> list[Way]:
    """One for each device, as a user has it."""
    return [Way(device, device, {}) for device in devices]
