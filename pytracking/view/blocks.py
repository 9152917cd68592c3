"""The live view's windows: their names, their places, and what they need of the tracker."""

from pytracking.view.scene import Wish
from pytracking.view.visdom_client import Place

TRACKING, STATUS, HELP, BLOCKS = "Tracking", "Status", "Help", "Blocks"
DENSITY, MARGINALS, REFINEMENT = "Density", "Marginals", "Refinement"
SCORES, LOSS, TIME = "Score map", "Optimiser loss", "Energy and credible width"

SWITCHED = (DENSITY, MARGINALS, REFINEMENT, SCORES, LOSS, TIME, HELP)
"""The blocks that can be switched off. 'Tracking' cannot: visdom's page reports keys, whatever window they are pressed
in, only while there is a window with a picture."""

PLACES = {
    TRACKING: Place(0, 0, 36, 26),
    DENSITY: Place(36, 0, 30, 26),
    MARGINALS: Place(66, 0, 34, 26),
    REFINEMENT: Place(0, 26, 36, 20),
    SCORES: Place(36, 26, 20, 20),
    LOSS: Place(56, 26, 18, 20),
    TIME: Place(74, 26, 26, 20),
    STATUS: Place(0, 46, 36, 15),
    BLOCKS: Place(36, 46, 20, 15),
    HELP: Place(56, 46, 44, 15),
}

_NEED_DENSITY = {DENSITY, MARGINALS, TIME}
_NEED_EVENTS = {REFINEMENT, SCORES, LOSS}


def needs(block: str) -> Wish:
    """What the tracker has to be asked for, for that block."""
    return Wish(block in _NEED_DENSITY, block in _NEED_EVENTS)
