"""All systems that can be trained, by module and name: `ebm-train <module> <name>` looks them up here.

To add a system:

* of `age`, `head_pose` or `detection`: add a line to the table at the end of `ltr/train_settings/<module>.py`;
* of `bbreg` or `toy`: write `ltr/train_settings/<module>/<name>.py` with a function `settings()`, and add a line to the
  table in `ltr/train_settings/<module>/__init__.py`;
* of a new task: write `ltr/train_settings/<module>.py` with a table `SYSTEMS`, and add a line to :data:`SYSTEMS` below.
"""

from __future__ import annotations

from ltr.common.errors import UserError
from ltr.train_settings import age, bbreg, detection, head_pose, toy
from ltr.train_settings.recipe import Recipe

SYSTEMS: dict[str, dict[str, Recipe]] = {
    "age": age.SYSTEMS,
    "bbreg": bbreg.SYSTEMS,
    "detection": detection.SYSTEMS,
    "head_pose": head_pose.SYSTEMS,
    "toy": toy.SYSTEMS,
}


PYTRACKING_NAMES = {
    "atom_default": "atom_resnet18",
    "atom_paper": "atom_resnet18",
    "atom_gmm_sampl": "atom_star_resnet18",
    "atom_prob_ml": "ebm_resnet18",
}
"""PyTracking's names of box predictors, which are on ResNet-18, and what they are called here."""


def current_name(module: str, name: str) -> str:
    """The name that a system has here, given that name or PyTracking's."""
    return PYTRACKING_NAMES.get(name, name) if module == "bbreg" else name


def available_settings() -> dict[str, list[str]]:
    """The names of each module's systems."""
    return {module: list(systems) for module, systems in SYSTEMS.items()}


def load_settings(module: str, name: str) -> Recipe:
    """The system that `ebm-train <module> <name>` trains.

    Raises:
        UserError: if there is no such system.
    """
    try:
        return SYSTEMS[module][current_name(module, name)]
    except KeyError:
        listed = "; ".join(f"{m}: {', '.join(names)}" for m, names in available_settings().items())
        raise UserError(f"there are no training settings '{module} {name}'. Those that exist are {listed}.") from None
