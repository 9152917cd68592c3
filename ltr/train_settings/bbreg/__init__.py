"""The box predictors of the tracker: one file for each system."""

from ltr.train_settings.bbreg import atom, atom_resnet18, atom_star, atom_star_resnet18, ebm, ebm_resnet18
from ltr.train_settings.bbreg.common import build
from ltr.train_settings.recipe import Recipe

SYSTEMS: dict[str, Recipe] = {
    "atom": Recipe(atom.__doc__, atom.settings, build),
    "atom_resnet18": Recipe(atom_resnet18.__doc__, atom_resnet18.settings, build),
    "atom_star": Recipe(atom_star.__doc__, atom_star.settings, build),
    "atom_star_resnet18": Recipe(atom_star_resnet18.__doc__, atom_star_resnet18.settings, build),
    "ebm": Recipe(ebm.__doc__, ebm.settings, build),
    "ebm_resnet18": Recipe(ebm_resnet18.__doc__, ebm_resnet18.settings, build),
}
