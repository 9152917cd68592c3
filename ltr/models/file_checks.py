"""What is checked in a file of weights before its content is used, so that a small file cannot ask for much memory.

The functions return what is wrong, as the end of a sentence about the file, or None.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_MOST_VALUES = 1_000_000
_DEEPEST = 60


def archive_problem(file: Path) -> str | None:
    """What is wrong with the zip archive that `torch.save` writes: it stores its parts as they are, each once.

    Raises:
        OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError: if it cannot be read.
    """
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        packed = next((part for part in parts if part.compress_type != zipfile.ZIP_STORED), None)
        if packed is not None:
            return f"its part {packed.filename[:60]} is compressed, which torch.save never does"
        if sum(part.file_size for part in parts) > file.stat().st_size:
            return "its parts are larger than the file"
        bad = archive.testzip()  # PyTorch itself does not compare checksums
    return None if bad is None else f"wrong checksum in its part {bad}"


def content_problem(content: Any) -> str | None:
    """What is wrong with what a pickle holds: lists in lists that stand for more values than fit into memory, or
    tensors that are larger than the numbers behind them."""
    level, seen = [content], 0
    for _ in range(_DEEPEST):
        if not level:
            return None
        seen += len(level)
        if seen > _MOST_VALUES:
            return f"it holds more than {_MOST_VALUES} values beside tensors"
        problem = next((p for p in (tensor_problem(v) for v in level if isinstance(v, Tensor)) if p), None)
        if problem:
            return problem
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value.keys())
                below.extend(value.values())
            elif isinstance(value, list | tuple | set | frozenset):
                below.extend(value)
            if len(below) > _MOST_VALUES:
                return f"it holds more than {_MOST_VALUES} values beside tensors"
        level = below
    return f"it is nested more than {_DEEPEST} deep"


def tensor_problem(tensor: Tensor) -> str | None:
    """What is wrong with a tensor from a file: it is not dense, or repeats few numbers many times."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
        return "it holds a tensor that is no plain array of numbers"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"it holds a tensor of shape {tuple(tensor.shape)} for which it has too few numbers"
    return None


def weights_problem(state: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the tensors of a state dict: one is no array of numbers, or one is not finite."""
    for name, value in state.items():
        if tensor_problem(value) or value.is_complex():
            return f"{name} is no plain array of real numbers"
        if not torch.isfinite(value if value.element_size() > 1 else value.float()).all():
            return f"{name} holds values that are not finite"
    return None
