"""Reads a tracker's boxes from a .mat file of OTB's toolkit.

The file holds a cell array `results` with a struct for each run. A one-pass evaluation has one; a temporal robustness
evaluation (TRE) has 20, which start later and later: the first is the one pass. Of a spatial one (SRE) every run
starts from a box that was moved or scaled, so that there is no one pass.

`res` has a row a frame in the form that `type` names. 'rect' is x, y, w, h with pixels from 1, as annotated; 'ivtAff'
and '4corner' become the rectangles that OTB's toolkit scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError


def read_otb_results(path: Path) -> tuple[np.ndarray, int]:
    """The boxes of the one pass, and where it starts.

    Returns:
        (N, 4), pixels from 1, a row of NaN where the tracker gave none; and the number of annotated frames before the
        first of them.

    Raises:
        UserError: if the file is not one of OTB's toolkit, or holds no one pass in a form that is understood.
    """
    run = _one_pass(path, _read_runs(path))
    form = str(_field(run, "type", "rect"))
    if form == "rect":
        boxes = _rows(path, run, 4)
    elif form == "ivtAff":
        boxes = _affine_rectangles(_rows(path, run, 6), _numbers(path, run, "tmplsize", 2))
    elif form in ("4corner", "affine"):
        boxes = _corner_rectangles(_rows(path, run, 4))
    else:
        raise UserError(
            f"{path}: its boxes are of the type '{form}'; 'rect', 'ivtAff' and '4corner' are read: convert them to "
            "x, y, w, h"
        )
    if np.isinf(boxes).any():
        raise UserError(f"{path}: row {np.isinf(boxes).any(axis=1).argmax() + 1} of its boxes is infinite")
    first = _field(run, "startFrame", 0)
    return boxes, max(int(first - _field(run, "annoBegin", first)), 0)


def _read_runs(path: Path) -> list[Any]:
    from scipy.io import loadmat, whosmat  # slow to import, and only these files need it

    try:
        stored = loadmat(path, variable_names=["results"], squeeze_me=False, struct_as_record=True)
        if "results" not in stored:
            names = ", ".join(name for name, *_ in whosmat(path)) or "nothing"
            raise UserError(f"{path} has no variable 'results' as OTB's toolkit writes it; it holds {names}")
    except NotImplementedError:
        raise UserError(f"{path} is a .mat file of version 7.3; save it in MATLAB with save(..., '-v7')") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UserError:
        raise
    except Exception as error:  # scipy raises almost anything on a damaged file
        raise UserError(f"{path} is no .mat file that can be read ({error})") from error
    runs = [each for cell in np.ravel(stored["results"]) for each in np.ravel(cell)]
    if not runs or any(getattr(run, "dtype", np.dtype(float)).names is None for run in runs):
        raise UserError(f"{path}: 'results' is not a cell array of structs, as OTB's toolkit writes it")
    return runs


def _one_pass(path: Path, runs: list[Any]) -> Any:
    shift = _field(runs[0], "shiftType", "")
    if len(runs) > 1 and shift:
        raise UserError(
            f"{path} holds a spatial robustness evaluation ({len(runs)} runs, the first '{shift}'), and no one pass"
        )
    first = _field(runs[0], "startFrame", None)
    starts = [start for run in runs if (start := _field(run, "startFrame", None)) is not None]
    if starts and first != min(starts):
        raise UserError(f"{path}: its first run starts at frame {first:g}, after another one; it holds no one pass")
    return runs[0]


def _field(run: Any, name: str, default: Any) -> Any:
    """A string or a number of a struct; the default where there is none."""
    if name not in run.dtype.names:
        return default
    value = np.ravel(run[name])
    return value[0] if value.size else default


def _numbers(path: Path, run: Any, name: str, count: int) -> np.ndarray:
    value = np.ravel(run[name]) if name in run.dtype.names else np.empty(0)
    if value.size != count or value.dtype.kind not in "iuf":
        raise UserError(f"{path}: '{name}' of its results is not {count} numbers")
    return value.astype(np.float64)


def _rows(path: Path, run: Any, columns: int) -> np.ndarray:
    """`res`, (N, columns)."""
    rows: np.ndarray = np.asarray(run["res"]) if "res" in run.dtype.names else np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != columns or not len(rows) or rows.dtype.kind not in "iuf":
        size = " x ".join(map(str, rows.shape))
        raise UserError(f"{path}: 'res' of its results should be a number matrix of {columns} columns, not {size}")
    return rows.astype(np.float64)


def _affine_rectangles(parameters: np.ndarray, template: np.ndarray) -> np.ndarray:
    """From (N, 6) affine maps of a template of this width and height, centred on 0: two of its opposite corners, mapped
    and rounded down, as OTB's toolkit takes them."""
    corner = template / 2
    linear = parameters[:, [2, 3, 4, 5]].reshape(-1, 2, 2)
    low, high = (np.floor(parameters[:, :2] + linear @ each) for each in (-corner, corner))
    return np.concatenate([low, high - low], axis=1)


def _corner_rectangles(corners: np.ndarray) -> np.ndarray:
    """From (2 N, 4), rows of x and y in turn, the rectangles around the corners, both ends included, rounded."""
    pairs = corners[: len(corners) // 2 * 2].reshape(-1, 2, 4)
    low, high = pairs.min(axis=2), pairs.max(axis=2)
    rectangles = np.concatenate([low, high - low + 1], axis=1)
    return np.floor(rectangles + 0.5)  # MATLAB rounds halves up
