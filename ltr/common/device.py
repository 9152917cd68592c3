"""Where a command computes."""

import torch

from ltr.common.errors import UserError


def choose_device(choice: str) -> torch.device:
    """The device of an option --device: 'cpu', 'cuda', or 'auto' for cuda where there is one.

    Raises:
        UserError: cuda is asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if choice == "cuda" and not cuda:
        raise UserError("--device cuda was asked for, but PyTorch finds no CUDA device. Use --device cpu.")
    return torch.device("cuda" if cuda and choice != "cpu" else "cpu")
