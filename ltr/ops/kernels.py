"""The compiled kernels. Importing this module loads them; device and dtype decide which kernel of PrRoIPool runs.

They are operators of PyTorch in the namespace `ebm_regression`. Code that needs cheap calls can use them directly
(features channels-last, boxes (K, 4) float32 or float64; see `reference.prroi_pool` for the arguments):

    torch.ops.ebm_regression.prroi_pool(features, boxes, rows, columns, scale, index=None) -> (K, C, rows, columns)
    torch.ops.ebm_regression.prroi_pool_backward_features(grad, boxes, rows, columns, scale, index, B, H, W)
    torch.ops.ebm_regression.prroi_pool_backward_boxes(grad, features, boxes, rows, columns, scale, index=None)

The features are (B, C, H, W), gradients in boxes (K, 4). Pooled values are stored channels-last, so
`pooled.permute(0, 2, 3, 1).flatten(1)` copies nothing.

`EBM_KERNELS=torch` in the environment disables them; `python -m ltr.ops.prroi_pool` lists those that are present.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltr.ops import fakes, libraries, reference

SWITCH = "EBM_KERNELS"
_DTYPES = {torch.float32, torch.float64, torch.float16, torch.bfloat16}


@dataclass(frozen=True)
class Kernel:
    """State of one device's kernels.

    Attributes:
        loaded: whether they are loaded.
        detail: how they were built if they are loaded, otherwise why they are not.
    """

    loaded: bool
    detail: str


def _load_all() -> dict[str, Kernel]:
    switch = os.environ.get(SWITCH, "")
    if switch not in ("", "torch"):
        raise ValueError(f"{SWITCH}={switch} in the environment; the only possible value is 'torch'")
    if switch:
        return {part: Kernel(False, f"switched off by {SWITCH}={switch}") for part in libraries.PARTS}
    found = {"cpu": _load("cpu")}
    if found["cpu"].loaded:
        fakes.register()
        torch.library.impl("ebm_regression::prroi_pool_differentiable_backward", "CompositeImplicitAutograd")(
            _differentiable_backward
        )
    if torch.version.cuda is None:
        found["cuda"] = Kernel(False, "this PyTorch was built without CUDA")
    elif not found["cpu"].loaded:
        found["cuda"] = Kernel(False, "needs the CPU kernels, which are absent")
    else:
        found["cuda"] = _load("cuda")
    return found


def _load(part: str) -> Kernel:
    path = libraries.path(part)
    if not path.exists():
        return Kernel(False, libraries.why_missing(part))
    try:
        torch.ops.load_library(path)
        return Kernel(True, getattr(torch.ops.ebm_regression, f"{part}_build")())
    except (OSError, RuntimeError, AttributeError) as error:
        return Kernel(False, f"{path.name} cannot be loaded: {str(error).splitlines()[0]}")


def _differentiable_backward(
    grad: Tensor, features: Tensor, boxes: Tensor, rows: int, columns: int, scale: float, index: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Both gradients by the torch form, for `create_graph=True`."""
    with torch.enable_grad():
        features, boxes = (t if t.requires_grad else t.detach().requires_grad_() for t in (features, boxes))
        pooled = reference.prroi_pool(features, boxes, rows, columns, scale, index)
        of_features, of_boxes = torch.autograd.grad(pooled, (features, boxes), grad, create_graph=True)
        return of_features, of_boxes


FOUND = _load_all()
_warned: set[str] = set()


def choose(features: Tensor) -> Callable[..., Tensor]:
    """The function to pool these features, the compiled operator or the torch form; both take the same arguments."""
    device = features.device.type
    if torch.compiler.is_exporting():  # the graph must run where this package is not installed
        return reference.prroi_pool
    kernel = FOUND.get(device)
    if kernel is not None and features.dtype in _DTYPES:
        if kernel.loaded:
            return torch.ops.ebm_regression.prroi_pool.default
        if not torch.compiler.is_compiling() and device not in _warned and SWITCH not in os.environ:
            _warned.add(device)
            warnings.warn(
                f"PrRoIPool runs in its torch form on {device}, which is slower: its kernels are {kernel.detail}. "
                f"{libraries.BUILD} builds them",
                stacklevel=3,
            )
    return reference.prroi_pool


def report() -> int:
    """Prints which kernels are present, how they were built, and whether they agree with the torch form.

    Returns:
        1 if one disagrees, else 0.
    """
    print(f"for {libraries.target()}, in {libraries.FOLDER}")
    wrong = 0
    for device, kernel in FOUND.items():
        if not kernel.loaded:
            print(f"{device}: the torch form is used; kernels: {kernel.detail}")
        elif device == "cuda" and not torch.cuda.is_available():
            print(f"{device}: present ({kernel.detail}), but there is no GPU to check it on")
        else:
            error = _largest_error(device)
            wrong += not error < 1e-4
            print(f"{device}: present ({kernel.detail}); largest difference from the torch form {error:.1e}")
    if not all(kernel.loaded for kernel in FOUND.values()) and SWITCH not in os.environ:
        print(f"{libraries.BUILD} builds those that can be built here, and says what is missing")
    return int(wrong > 0)


def _largest_error(device: str) -> float:
    """The largest error of value and gradients in float32 against the torch form in float64, relative to their size."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 32, 18, 18, generator=generator)
    corner, side = torch.rand(2, 20, 2, generator=generator) * 100, torch.rand(2, 20, 2, generator=generator) * 80 + 20
    boxes = torch.cat([corner, corner + side], dim=-1).flatten(0, 1)
    results = []
    for pool, dtype in ((torch.ops.ebm_regression.prroi_pool, torch.float32), (reference.prroi_pool, torch.float64)):
        inputs = (features.to(device, dtype).requires_grad_(), boxes.to(device, dtype).requires_grad_())
        pooled = pool(inputs[0], inputs[1], 5, 5, 1 / 8)
        results.append([pooled.detach(), *torch.autograd.grad(pooled.square().sum(), inputs)])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*results, strict=True))
