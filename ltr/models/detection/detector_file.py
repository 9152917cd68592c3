"""Reading a trained detector from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltr.common.errors import UserError
from ltr.common.plain import from_json
from ltr.common.settings import restored
from ltr.models.detection.detector import Detector
from ltr.models.detection.settings import DetectorSettings
from ltr.models.file_checks import weights_problem
from ltr.models.weights_file import is_state_dict, read_pickle, read_safetensors, state_dict_mismatch

_CLASSES = "roi_heads.box_predictor.cls_score.bias"  # in torchvision's state dicts


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> Detector:
    """Reads a trained detector; it is in evaluation mode.

    Args:
        path: the final weights of a run (`*_final.safetensors`), its `last.pth` or `best.pth`, or torchvision's own
            state dict of `fasterrcnn_resnet50_fpn`, which is system `direct`.
        device: of the detector.

    Raises:
        UserError: if the file is missing or damaged, or holds no detector.
    """
    path = Path(path)
    about: Any
    state: Any
    if path.suffix == ".safetensors":
        metadata, state = read_safetensors(path)
        about = metadata.get("settings", "{}")
    else:
        content = read_pickle(path)
        content = content if isinstance(content, dict) else {}
        if _CLASSES in content and isinstance(content[_CLASSES], Tensor):
            about = {"detector": {"system": "direct", "base": {"num_classes": len(content[_CLASSES])}}}
            content = {"model": {f"base.{key}": value for key, value in content.items()}, "settings": about}
        state, about = content.get("model", {}), content.get("settings", {})
    try:
        plain = from_json(about) if isinstance(about, str) else about
        settings = restored(DetectorSettings(), plain["detector"])
        with torch.device("meta"):  # takes no memory: the file could claim any size
            own = Detector(settings).state_dict()
    except UserError as error:
        raise UserError(f"{path} describes an impossible detector: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no detector of this project: it does not say which one it is") from error
    except (RuntimeError, OverflowError) as error:
        raise UserError(f"{path} describes an impossible detector: {str(error).splitlines()[0]}") from error
    problem = state_dict_mismatch(own, state) if is_state_dict(state) else "it holds no weights"
    if problem is None:
        unexpected = [name for name in state if name not in own and not name.endswith("num_batches_tracked")]
        problem = f"{unexpected[0]} is unexpected" if unexpected else None
    if problem:
        raise UserError(f"{path} does not fit the detector that its settings describe: {problem}")
    if problem := weights_problem(state):
        raise UserError(f"{path} is damaged: {problem}")
    detector = Detector(settings)
    detector.load_state_dict(state, strict=False)  # with or without the counters of batch norms, which nothing uses
    return detector.to(device).eval().requires_grad_(False)
