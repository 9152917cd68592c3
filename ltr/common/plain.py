"""Values as plain data, which a JSON file and a checkpoint can hold."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def to_plain(value: Any) -> Any:
    """A value as JSON can hold it: dataclasses and mappings become dicts, arrays and tuples lists, paths strings.

    A value without a plain form becomes its ``repr``, so that a record can always be written; so do NaN and infinities,
    which JSON does not have.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((to_plain(item) for item in value), key=str)
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return to_plain(value.tolist())
    if isinstance(value, os.PathLike | torch.device | torch.dtype):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return repr(value)


def from_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is no JSON, or lists are nested too deep in it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
