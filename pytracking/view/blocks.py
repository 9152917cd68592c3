"""The live view's windows: their names, their places, and what they need of the tracker."""

from pytracking.view.scene import Wish
from pytracking.view.visdom_client import Place

TRACKING, STATUS, HELP, BLOCKS = "Tracking", "Status", "Help", "Blocks"
DENSITY, MARGINALS, REFINEMENT = "Density", "Marginals", "Refinement"
SCORES, LOSS, TIME = "Score map", "Optimiser loss", "Energy and credible width"

PLOTS = (DENSITY, MARGINALS, REFINEMENT, SCORES, LOSS, TIME)
SWITCHED = (*PLOTS, HELP)
"""The blocks that can be switched off. 'Tracking' cannot: visdom's page reports keys, whatever window they are pressed
in, only while there is a window with a picture."""

PLACES = {
    TRACKING: Place(0, 0, 42, 23),
    DENSITY: Place(42, 0, 37, 23),
    MARGINALS: Place(79, 0, 44, 23),
    REFINEMENT: Place(0, 23, 45, 23),
    SCORES: Place(45, 23, 24, 23),
    LOSS: Place(69, 23, 22, 23),
    TIME: Place(91, 23, 32, 23),
    STATUS: Place(0, 46, 42, 15),
    BLOCKS: Place(42, 46, 26, 15),
    HELP: Place(68, 46, 55, 15),
}
"""For a page of 1600 x 1000 pixels; wider and narrower ones break the rows elsewhere. A page arranges its windows for 100
columns at first, and then for its own number. Their order survives that, since those in rows that are then mixed are
equally high."""

_NEED_DENSITY = {DENSITY, MARGINALS, TIME}
_NEED_EVENTS = {REFINEMENT, SCORES, LOSS}


def needs(block: str) -> Wish:
    """What the tracker has to be asked for, for that block."""
    return Wish(block in _NEED_DENSITY, block in _NEED_EVENTS)
