"""Table 2: COCO's average precision of each system, and images a second."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation
from ltr.evaluation.tables import Mean, Table

SYSTEM_NAMES = {
    "direct": "Faster-RCNN",
    "gaussian": "Gaussian",
    "mixture2": "Gaussian Mixt. 2",
    "mixture4": "Gaussian Mixt. 4",
    "mixture8": "Gaussian Mixt. 8",
    "cvae": "Gaussian cVAE",
    "laplace": "Laplace",
    "iou_net": "IoU-Net",
    "iou_net_star": "IoU-Net*",
    "ebm": "Ours (EBM)",
}
"""The paper's names of the systems, in its order."""
UNREFINED = "unrefined"
"""Key of results without refinement: '{system} unrefined'."""
_COLUMNS = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP_S": "ap_small", "AP_M": "ap_medium", "AP_L": "ap_large"}


def make_table(results: Mapping[str, Sequence[DetectorEvaluation]], title: str) -> Table:
    """The paper's table, with a row for each key; its results are runs with different seeds.

    Args:
        results: by system or '{system} unrefined', whose rows come first, in the paper's order; other keys are row
            names.
        title: one line.
    """
    table = Table(title, [*_COLUMNS, "images/s", "runs"])
    order = [key for system in SYSTEM_NAMES for key in (f"{system} {UNREFINED}", system)]
    for key in sorted(results, key=lambda key: order.index(key) if key in order else len(order)):
        found = results[key]
        cells = [_percent([getattr(r.metrics, name) for r in found]) for name in _COLUMNS.values()]
        speed = Mean.of([r.images_per_second for r in found])
        table.rows.append((row_name(key), [*cells, speed, str(len(found))]))
    return table


def row_name(key: str) -> str:
    """The paper's name of a system's row; another key is its own name."""
    system, _, rest = key.partition(" ")
    name = SYSTEM_NAMES.get(system)
    return key if name is None else name if not rest else f"{name}, {rest}"


def _percent(values: Sequence[float]) -> Mean | None:
    """The mean in percent; None if there was no object to find."""
    return None if any(map(math.isnan, values)) else Mean.of([100 * value for value in values])
