"""PyTracking's checkpoints, as its trainer pickles them: weights beside instances of its own classes, read as data.

Its `net_type` says which network a file holds. DiMP's box head has the shapes of ATOM's, so shapes alone cannot tell.
"""

from typing import Any

from torch import Tensor

from ltr.models.weights_file import is_state_dict

_PARTS = ("feature_extractor.", "bb_regressor.")  # of ATOM's network


class _Inert:
    """Stands in for a class that PyTracking pickles into its checkpoints; accepts its state and ignores it."""

    def __setstate__(self, state: Any) -> None:
        pass


STAND_INS: dict[str, type] = {
    f"{package}.{name}": _Inert
    for package in ("ltr.admin", "dlframework.common.utils")  # the latter is the package's first name: published files
    for name in (
        "settings.Settings",
        "local.EnvironmentSettings",
        "model_constructor.NetConstructor",
        "stats.AverageMeter",
        "stats.StatValue",
    )
}
"""What is made in place of the classes that a checkpoint names, for :func:`ltr.models.weights_file.read_pickle`."""


def atom_weights(content: Any) -> dict[str, Tensor]:
    """The state dict of ATOM's network in the content of a checkpoint, which may also be the state dict itself.

    Raises:
        ValueError: if it is of another network, or of none.
    """
    kind = content.get("net_type") if isinstance(content, dict) else None
    if isinstance(kind, str) and kind.lower() != "atomnet":
        raise ValueError(f"its net_type is {kind[:40]!r}, not 'ATOMnet'")
    state = content.get("net", content) if isinstance(content, dict) else None
    if not is_state_dict(state) or not any(name.startswith("bb_regressor.") for name in state):
        raise ValueError("it has no parameters bb_regressor.*")
    foreign = next((name for name in state if not name.startswith(_PARTS)), None)
    if foreign is not None:
        raise ValueError(f"it has parameters {foreign.split('.')[0][:40]}.*, as DiMP has and ATOM has not")
    return state


def is_from_pytracking(content: Any) -> bool:
    """Whether PyTracking wrote a checkpoint: its dictionary, or a state dict with the layers that only it keeps."""
    return "net" in content or any(name.startswith("feature_extractor.layer4.") for name in content)
