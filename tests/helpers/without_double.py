"""A stand-in for devices without float64 and complex128, such as Apple's GPUs (mps), on a CPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

REFUSED = {torch.float64, torch.complex128, torch.complex64}


class WithoutDouble(TorchDispatchMode):
    """Within it, nothing that comes of the given tensors may have a dtype that such a device lacks.

    `.cpu()` leads back to the host, where every dtype is allowed. The tensors stand for those on the device.
    """

    def __init__(self, tensors):
        super().__init__()
        self.operators: set[str] = set()
        self._cpu = torch.Tensor.cpu
        for tensor in tensors:
            tensor.on_device = True

    def __enter__(self):
        torch.Tensor.cpu = lambda tensor: self._host(tensor)
        return super().__enter__()

    def __exit__(self, *error):
        torch.Tensor.cpu = self._cpu
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if any(getattr(value, "on_device", False) for value in tree_flatten((args, kwargs))[0]):
            self.operators.add(str(function))
            for value in tree_flatten(result)[0]:
                if isinstance(value, torch.Tensor):
                    assert value.dtype not in REFUSED, f"{function} makes {value.dtype} on the device"
                    value.on_device = True
        return result

    @staticmethod
    def _host(tensor: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(tensor.detach().numpy().copy())
