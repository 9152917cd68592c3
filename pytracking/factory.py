"""Trackers by name: `Tracker("atom", "ebm")`.

A tracker `mine` is a package `pytracking/tracker/mine` with `build(settings, device, seed)`, and a folder
`pytracking/parameter/mine` with a file for each set of parameters, whose `parameters()` returns the settings, a
dataclass. Both are found by their names; nothing has to be registered.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

import tyro

from ltr.common.errors import UserError
from pytracking import parameter
from pytracking.tracker.base import BaseTracker

PYTRACKING_NAMES = {"atom_prob_ml": "ebm", "atom_gmm_sampl": "atom_star"}
"""PyTracking's names of parameters of atom, and what they are called here; `_resnet18` has the paper's backbone."""


REMOVED = {"--precision": "the tracker computes in float32 alone; leave it out"}
"""Settings that there were once, and why there are none now."""


def current_param(name: str, param: str) -> str:
    """The name that a parameter file has here, given that name or PyTracking's."""
    return PYTRACKING_NAMES.get(param, param) if name == "atom" else param


def available_trackers() -> dict[str, list[str]]:
    """Names of the parameter files of each tracker."""
    found = {}
    for tracker in pkgutil.iter_modules(parameter.__path__):
        package = importlib.import_module(f"pytracking.parameter.{tracker.name}")
        found[tracker.name] = sorted(m.name for m in pkgutil.iter_modules(package.__path__))
    return found


def tracker_settings(name: str, param: str, overrides: Sequence[str] = ()) -> Any:
    """The settings of a tracker: those of its parameter file, changed by `overrides` as on a command line.

    Args:
        name: tracker, such as 'atom'.
        param: parameter file, such as 'ebm'.
        overrides: such as ['--refinement.iterations', '5'].

    Raises:
        UserError: if there is no such tracker, parameter file or setting, or a value does not fit.
    """
    known = available_trackers()
    param = current_param(name, param)
    if param not in known.get(name, ()):
        listed = "; ".join(f"{tracker}: {', '.join(params)}" for tracker, params in known.items())
        raise UserError(f"there is no tracker '{name} {param}'; there are {listed}")
    settings = importlib.import_module(f"pytracking.parameter.{name}.{param}").parameters()
    if not overrides:
        return settings
    for option, reason in REMOVED.items():
        if any(given.split("=")[0] == option for given in overrides):
            raise UserError(f"there is no {option} any more: {reason}")
    try:
        return tyro.cli(
            type(settings),
            default=settings,
            args=list(overrides),
            prog=f"settings of {name} {param}",
            use_underscores=True,
        )
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
        raise UserError(f"the settings {' '.join(overrides)} of {name} {param} are not valid (see above)") from None


def Tracker(  # noqa: N802 (reads like the class that it chooses)
    name: str, param: str, device: str | None = None, seed: int = 0, overrides: Sequence[str] = ()
) -> BaseTracker:
    """A tracker, to be initialised with a first frame and box.

        tracker = Tracker("atom", "ebm")
        tracker.initialize(image, box)
        for image in frames:
            box = tracker.track(image).box

    Args:
        name: tracker, such as 'atom'.
        param: parameter file, such as 'default' (ATOM), 'atom_star' or 'ebm'.
        device: 'cpu', 'cuda', ...; None for a GPU if there is one.
        seed: of all that is random in a sequence.
        overrides: settings as on a command line, see :func:`tracker_settings`.

    Raises:
        UserError: if there is no such tracker, setting or network, or the network cannot be loaded.
    """
    settings = tracker_settings(name, param, overrides)
    return importlib.import_module(f"pytracking.tracker.{name}").build(settings, device, seed)
