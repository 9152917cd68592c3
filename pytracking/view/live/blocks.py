"""The live view's windows: their names, their places, and what they need of the tracker."""

from pytracking.view.base import Request
from pytracking.view.live.client import Place

TRACKING, STATUS, HELP, BLOCKS = "Tracking", "Status", "Help", "Blocks"
DENSITY, MARGINALS, REFINEMENT = "Density", "Marginals", "Refinement"
SCORES, LOSS, TIME = "Score map", "Optimiser loss", "Energy and credible width"

PLOTS = (DENSITY, MARGINALS, REFINEMENT, SCORES, TIME, LOSS)
SWITCHED = (*PLOTS, HELP)
"""The blocks that can be switched off. 'Tracking' cannot: visdom's page reports keys, whatever window they are pressed
in, only while there is a window with a picture."""

PLACES = {
    TRACKING: Place(0, 0, 37, 22),
    DENSITY: Place(37, 0, 30, 22),
    MARGINALS: Place(67, 0, 33, 22),
    REFINEMENT: Place(0, 22, 40, 22),
    SCORES: Place(40, 22, 26, 22),
    TIME: Place(66, 22, 34, 22),
    LOSS: Place(0, 44, 26, 17),
    STATUS: Place(26, 44, 23, 17),
    BLOCKS: Place(49, 44, 22, 17),
    HELP: Place(71, 44, 29, 17),
}
"""In the order in which they are made: 1280 x 920 pixels. A page arranges its windows in rows of 100 columns first, and
then of as many as it has, where narrow ones move up to where there is room. So no row has more than 100, and windows
that may come to stand side by side are about equally high."""

_NEED_DENSITY = {DENSITY, MARGINALS, TIME}
_NEED_EVENTS = {REFINEMENT, SCORES, LOSS}


def needs(block: str) -> Request:
    """What the tracker has to be asked for, for that block."""
    return Request(block in _NEED_DENSITY, block in _NEED_EVENTS)
