"""The device on which a command computes."""

from typing import Literal

import torch
from torch import Tensor

from ltr.common.errors import UserError

DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
"""What an option --device takes. 'auto' is cuda if there is one, and never mps: no Apple GPU has run the tests."""


def choose_device(choice: DeviceChoice) -> torch.device:
    """The device that an option --device names.

    Raises:
        UserError: if the user asks for a device that there is not.
    """
    cuda = torch.cuda.is_available()
    if choice == "cuda" and not cuda:
        raise UserError("--device cuda was asked for, but PyTorch finds no CUDA device. Use --device cpu.")
    if choice == "mps":
        return usable_device(choice)
    return torch.device("cuda" if cuda and choice != "cpu" else "cpu")


def for_sums(device: torch.device) -> torch.device:
    """Where sums in float64 of numbers on this device are made: the CPU for Apple's GPUs, which have no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device. A GPU goes on with its work meanwhile: the call does not wait for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def usable_device(name: str | torch.device | None) -> torch.device:
    """The device of this name; None stands for a GPU if there is one.

    Raises:
        UserError: if there is no such device.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "mps" and not torch.backends.mps.is_available():
            raise RuntimeError("PyTorch finds no Apple GPU on this machine")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: this PyTorch is built without such devices
        reason = str(error).splitlines()[0]
        raise UserError(f"the device {str(name)!r} cannot be used ({reason}); choose another, such as cpu") from None
    return device
