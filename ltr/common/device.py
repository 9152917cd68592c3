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
