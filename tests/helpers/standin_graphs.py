"""CUDA graphs without a GPU: what a graph does to memory, and what it refuses, played on the CPU.

A recording runs on the memory of its arguments alone and writes its results into memory of its own, over those of the
last replay. While it is recorded and replayed, whatever would read from a GPU or copy to it is refused.
"""

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_READ_BY_PYTHON = {"item", "tolist", "numpy", "cpu", "cuda", "pin_memory", "__bool__", "__float__", "__int__"}
_READ_BY_PYTHON |= {"__index__", "__array__", "nonzero", "is_nonzero", "equal", "allclose"}
_COPIED_FROM_PYTHON = {"tensor", "as_tensor", "asarray", "from_numpy", "new_tensor"}
_SHAPES_DEPEND_ON_DATA = {
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "_local_scalar_dense",
    "is_nonzero",
    "equal",
}


class Refuse(TorchFunctionMode):
    """Refuses the calls from Python that wait for a GPU, whatever device they meet."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in _READ_BY_PYTHON:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name} reads from the device")
        if name in _COPIED_FROM_PYTHON:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name} copies to the device")
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(i, list | np.ndarray) for i in index):
                raise RuntimeError("operation not permitted when stream is capturing: a list of indices is copied")
        return function(*args, **(kwargs or {}))


class _RefuseByOperator(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in _SHAPES_DEPEND_ON_DATA:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name} reads from the device")
        if name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1]):
            raise RuntimeError("operation not permitted when stream is capturing: a mask as an index")
        return function(*args, **(kwargs or {}))


class StandIn:
    """Records functions in the place of a GPU.

    Attributes:
        recorded, replayed: how often it did so.
    """

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        def run():
            with Refuse(), _RefuseByOperator():
                return function()

        self.recorded += 1
        outputs = tuple(t.clone() for t in run())

        def replay():
            self.replayed += 1
            for own, new in zip(outputs, run(), strict=True):
                own.copy_(new)

        return replay, outputs
