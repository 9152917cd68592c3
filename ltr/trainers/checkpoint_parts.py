"""Whether a checkpoint has all parts from which a training continues, in the form in which the trainer writes them."""

from __future__ import annotations

from typing import Any

from ltr.models.file_checks import weights_problem
from ltr.models.weights_file import is_state_dict

_PARTS: dict[str, type] = {
    "model": dict, "optimizer": dict, "scaler": dict, "position": dict, "skipped": list, "averages": dict,
    "history": list, "seconds": float, "settings": dict,
}  # fmt: skip


def part_problem(content: dict[str, Any]) -> str | None:
    """What a checkpoint lacks for continuing from it, or has in another form than the trainer writes."""
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            return f"it has no {name}" if name not in content else f"its {name} is not what the trainer writes"
    position, skipped, best = content["position"], content["skipped"], content.get("best")
    counts = [position.get("epoch"), position.get("step"), *skipped]
    if len(skipped) != 2 or not all(type(number) is int and number >= 0 for number in counts):
        return "it does not say how far the training had come"
    pairs = content["averages"].values()
    if not all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs):
        return "its averages are not what the trainer writes"
    if not all(isinstance(line, dict) for line in content["history"]):
        return "its history is not what the trainer writes"
    if not (best is None or _is_number(best)):
        return "its best is no number"
    if not is_state_dict(content["model"]):
        return "it holds no weights"
    return weights_problem(content["model"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
