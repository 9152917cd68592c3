"""ATOM (Danelljan et al., CVPR 2019), and its boxes refined by ATOM* and by the paper's EBM.

`Atom` in `atom.py` goes through each frame in this order:

1. `search_region.py`   crops a search region around the last position; it grows while the target is lost, and then
                        other parts of the image are searched too
2. `network.py`         computes the backbone's features of the crop
3. `classifier.py`      maps them to scores, by a filter that it learns online
4. `localization.py`    finds the target in the score map (`peaks.py`) and judges it: `localize` **decides whether the
                        target is lost**, if the highest score is below `settings.localization.not_found`. Outside the
                        ordinary region the score has to reach `settings.lost.found_again` (`SearchRegion.accepts`)
5. `refinement.py`      ten boxes around that position climb the box network's output: an energy or a predicted IoU
6. `size_filter.py`     takes over a share of the refined size
7. `classifier.py`      learns from the frame: `memory.py` stores samples, `filter_problem.py` solves for the filter

If the target is lost, 5 to 7 are left out and the box keeps its position and size. `first_frame.py` augments the first
frame, from which the classifier learns at first. `settings.py` has every constant; `shipped.py` those that the three
trackers on the shipped backbone share. On a GPU, functions marked `Captured` run as CUDA graphs
(`ltr/ops/cuda_graphs.py`).
"""

from pytracking.tracker.atom.settings import AtomSettings
from pytracking.tracker.base import BaseTracker


def build(settings: AtomSettings, device: str | None, seed: int) -> BaseTracker:
    """The tracker of these settings."""
    from pytracking.tracker.atom.atom import Atom

    return Atom(settings, device, seed)
