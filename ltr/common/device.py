"""The device on which a command computes."""

import torch

from ltr.common.errors import UserError


def choose_device(choice: str) -> torch.device:
    """The device that an option --device names: 'cpu', 'cuda', or 'auto' for cuda if there is one.

    Raises:
        UserError: if the user asks for cuda and there is none.
    """
    cuda = torch.cuda.is_available()
    if choice == "cuda" and not cuda:
        raise UserError("--device cuda was asked for, but PyTorch finds no CUDA device. Use --device cpu.")
    return torch.device("cuda" if cuda and choice != "cpu" else "cpu")


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
