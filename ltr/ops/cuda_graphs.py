"""Functions of tensors that a GPU replays as CUDA graphs.

Where a network is small, a GPU waits for Python, which launches one kernel after the other. A CUDA graph holds all
kernels of a function and launches them at once. :class:`Captured` makes one for each set of shapes that comes often.

A graph reads and writes memory of its own: arguments are copied into it, results out of it, so that a caller knows
nothing of it. Graphs of one stream share the memory of their intermediate results, and so need little more than the
largest of them. `EBM_GRAPHS=off` in the environment turns graphs off.
"""

import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

SWITCH = "EBM_GRAPHS"
OFTEN = 3
"""Shapes are captured at their third call. A capture costs some three calls, and search regions of a lost target, which
come once each, are not worth it."""
MOST = 12
"""Graphs of one function; of more, the one that was used longest ago is dropped."""
LARGEST = 32 * 2**20
"""Bytes of arguments. Larger ones are not captured: a graph would hold much memory, and they keep a GPU busy anyway."""

Outputs = tuple[Tensor, ...]
Recorder = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
"""Records the work of a function without arguments. Returns what does this work again on the same memory, and the
tensors into which the results then go."""

_lock = threading.RLock()  # one capture at a time, and nobody's arguments in a graph that another thread replays


class _Graph(NamedTuple):
    inputs: list[Tensor]
    outputs: Outputs
    replay: Callable[[], None]


class Captured:
    """A function of tensors, which a GPU replays as a CUDA graph.

    On other devices, for shapes that came less than OFTEN times, and for large ones, it is called as it is. If it
    cannot be captured, that is logged once, and it is called as it is from then on. No gradient reaches the arguments
    of a graph.

    Args:
        function: takes tensors by position and constants by name, and returns a tuple of tensors. The result depends on
            nothing else. It must not read from the device (`.item()`, `.cpu()`, `if tensor:`), nor copy to it.
            Constants can be hashed; graphs hold them. Tensors and modules among them are read anew in each call.
    """

    def __init__(self, function: Callable[..., Outputs]):
        self.function = function
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._calls: Counter[Hashable] = Counter()
        self._failed: set[torch.device] = set()

    def __call__(self, *tensors: Tensor, **constants: Hashable) -> Outputs:
        device = tensors[0].device
        recorder = recorder_of(device)
        if recorder is None or device in self._failed or sum(t.nbytes for t in tensors) > LARGEST:
            return self.function(*tensors, **constants)
        form = tuple((t.shape, t.stride(), t.dtype, t.device) for t in tensors)
        key = recorder, form, tuple(sorted(constants.items()))
        with _lock, torch.inference_mode(False), torch.no_grad():
            graph = self._graphs.get(key)
            if graph is None:
                if len(self._calls) > 8 * MOST:
                    self._calls.clear()
                self._calls[key] += 1
                if self._calls[key] >= OFTEN:
                    return self._capture(key, recorder, tensors, constants)
            else:
                self._graphs.move_to_end(key)
                for own, given in zip(graph.inputs, tensors, strict=True):
                    own.copy_(given)
                graph.replay()
                return tuple(t.clone() for t in graph.outputs)
        return self.function(*tensors, **constants)

    def _capture(
        self, key: Hashable, recorder: Recorder, tensors: tuple[Tensor, ...], constants: dict[str, Hashable]
    ) -> Outputs:
        """Make the graph, and return the function's result; the first replay has to agree with it."""
        expected = self.function(*tensors, **constants)
        inputs = [t.clone() for t in tensors]
        try:
            replay, outputs = recorder(lambda: self.function(*inputs, **constants))
            replay()
            if not all(map(_agree, outputs, expected)):
                raise RuntimeError("its replay differs from the call")
        except RuntimeError as error:
            device = tensors[0].device
            self._failed.add(device)
            name = getattr(self.function, "__name__", str(self.function))
            # an error in the middle of a capture makes its end fail too
            reason = next(iter(str(error.__context__ or error).splitlines()), "no reason given")
            logger.warning("%s runs without CUDA graph on %s, which is slower: %s", name, device, reason)
            return expected
        self._graphs[key] = _Graph(inputs, outputs, replay)
        if len(self._graphs) > MOST:
            dropped, _ = self._graphs.popitem(last=False)
            self._calls.pop(dropped, None)
        return expected


def _agree(found: Tensor, expected: Tensor) -> bool:
    a, b = found.double(), expected.double()
    size = float(b[b.isfinite()].abs().max()) if b.isfinite().any() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-3 * size, equal_nan=True)


def captures(device: torch.device) -> bool:
    """Whether functions become graphs on the device; shapes should then stay as they are."""
    return recorder_of(device) is not None


def recorder_of(device: torch.device) -> Recorder | None:
    """What captures graphs on the device, for its current stream; None where functions are called as they are."""
    if device.type != "cuda" or os.environ.get(SWITCH) == "off" or torch.cuda.is_current_stream_capturing():
        return None
    return _cuda_recorder(device, torch.cuda.current_stream(device).cuda_stream)


@cache
def _cuda_recorder(device: torch.device, of_stream: int) -> Recorder:
    """One for each stream: graphs that share memory must not run at the same time."""
    return _CudaRecorder(device)


class _CudaRecorder:
    def __init__(self, device: torch.device):
        self._device, self._stream = device, torch.cuda.Stream(device)
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        graph = torch.cuda.CUDAGraph()
        # The outer `stream` restores the current stream where a capture fails: `graph` does not.
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            torch.cuda.synchronize()
            function()  # libraries set themselves up for this stream, which no graph can contain
            with torch.cuda.graph(graph, self._memory, self._stream, capture_error_mode="thread_local"):
                outputs = function()
        return graph.replay, outputs
