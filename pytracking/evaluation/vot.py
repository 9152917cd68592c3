"""A tracker as the VOT toolkit runs it: it answers the toolkit's requests in the TraX protocol.

The toolkit (or another TraX client) starts the process and speaks with it over stdin and stdout. It sends the first
image of a run with the target's region, then image after image, and may begin another run at any time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.common.seeds import seed_everything
from pytracking.evaluation.running import TrackerSpec
from pytracking.tracker.base import TrackerOutput, check_first_box

INSTALL = "pip install 'ebm-regression[vot]'"
_STARTED = (
    "the VOT toolkit starts this command itself; put the tracker into its workspace with --workspace FOLDER, then run "
    "vot evaluate"
)


def trax_library() -> Any:
    """The module `trax` of the package vot-trax.

    Raises:
        UserError: if it is not installed, or another package of that name is.
    """
    try:
        import trax
        from trax import Polygon, Rectangle, Server  # noqa: F401 (Google's package trax has none of them)
    except ImportError as error:
        raise UserError(f"VOT needs the package vot-trax, which is not installed here ({error}): {INSTALL}") from error
    return trax


def serve(spec: TrackerSpec, name: str) -> None:
    """Answer requests until the client ends the session. Each run starts from the tracker's seed.

    Args:
        name: of the tracker, told to the client.

    Raises:
        UserError: if vot-trax is not installed, no client has started this process, the tracker cannot be made, the
            client breaks the protocol off, or sends an image or a region that cannot be used. The client is told.
    """
    trax = trax_library()
    if sys.stdin.isatty() and "TRAX_SOCKET" not in os.environ:
        raise UserError(f"stdin is a terminal, but {_STARTED}")
    tracker = spec.make()
    try:
        server = trax.Server(["rectangle", "polygon", "mask"], ["path"], tracker_name=name)
        try:
            while (request := server.wait()).type in ("initialize", "frame"):
                image = read_image(Path(request.image["color"].path()))
                if request.type == "initialize":
                    seed_everything(spec.seed)
                    output = tracker.initialize(image, check_first_box(region_box(request.objects[0][0]), image))
                else:
                    output = tracker.track(image)
                server.status([_report(trax, output)])
        except UserError as error:
            server.quit(str(error))
            raise
    except trax.TraxException as error:
        cause = str(error).removesuffix(": Unknown")
        raise UserError(f"no VOT toolkit is at the other end of stdin ({cause}): {_STARTED}") from error


def _report(trax: Any, output: TrackerOutput) -> tuple[Any, dict[str, float]]:
    return trax.Rectangle.create(*map(float, output.box)), {"confidence": float(output.score)}


def region_box(region: Any) -> np.ndarray:
    """The upright box of a TraX region, float64 (4,) x, y, w, h.

    A rectangle is its box, and a mask has the box of its pixels. A polygon's has the polygon's area, and the aspect
    ratio of the box around it: the box around a slanted target would hold far more than the target. (PyTracking has
    the same in its settings for VOT.) A polygon's points are centres of pixels.

    Raises:
        UserError: if the mask has no pixel, the polygon no area, or the region is of another kind.
    """
    match region.type:
        case "rectangle":
            return np.array(region.bounds())
        case "polygon":
            return polygon_box(list(region))
        case "mask":
            rows, columns = np.nonzero(region.array())
            if not len(rows):
                raise UserError("the target's mask is empty in the first image")
            first, last = [columns.min(), rows.min()], [columns.max(), rows.max()]
            return np.concatenate([np.add(first, region.offset()), np.subtract(last, first) + 1]).astype(float)
    raise UserError(f"the target's region in the first image is '{region.type}', not a rectangle, polygon or mask")


def polygon_box(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """The box of :func:`region_box` for a polygon's points (N, 2), in the order of its sides.

    Raises:
        UserError: if the polygon has no area.
    """
    corners = np.array(points)
    x, y = (corners - corners[0]).T  # small numbers lose no digits
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    extent = np.ptp(corners, axis=0)
    if not area > 0:
        raise UserError(f"the target's polygon in the first image has no area: {corners.round(2).tolist()}")
    extent *= np.sqrt(area / extent.prod())
    return np.concatenate([corners.mean(0) - extent / 2, extent + 1])
