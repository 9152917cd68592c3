"""Densities in one dimension (Appendix B): one file for each system."""

from ltr.train_settings.recipe import Recipe
from ltr.train_settings.toy import ebm, gaussian

SYSTEMS: dict[str, Recipe] = {
    "ebm": Recipe(ebm.__doc__, ebm.settings, ebm.build),
    "gaussian": Recipe(gaussian.__doc__, gaussian.settings, gaussian.build),
}
