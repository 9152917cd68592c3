"""Scores boxes: success, precision and normalised precision of one sequence, following PyTracking's rules.

Boxes are float (x, y, w, h), top-left, pixels, (N, 4); prediction and ground truth share one coordinate origin.

The rules (reference: PyTracking's analysis, and the OTB protocol it comes from):

* The first predicted box is the given one: the annotation replaces it.
* A predicted box of zero width or height means "not found": the box before it replaces it, except where the
  annotation is NaN. A prediction that ends early is padded with zero boxes, which overlap nothing; one that is too long
  is cut. The score counts both.
* A frame is invalid if its annotated width or height is not positive (or is NaN), or if the benchmark says that the
  target is not visible. Invalid frames stay in the denominator, and count as failures in success. What they count as in
  the other measures is the benchmark's rule (`rules.py`): by default failures in precision and hits in normalised
  precision. `exclude_invalid` removes them from numerator and denominator.
* Success at threshold t is the share of frames with IoU > t (strict), so nobody succeeds at t = 1, and the ground truth
  scored against itself has an AUC of exactly 20/21. Precision at t is the share of frames with a centre error <= t.
* Over many sequences the curves are averaged, each sequence with the same weight, whatever its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytracking.analysis.rules import DEFAULT_RULE, Rule

# i * 0.05 in floating point, not i / 20: ties (an IoU of exactly 0.15, say) then fall as in PyTracking and the got10k
# toolkit.
OVERLAP_THRESHOLDS = np.arange(21) * 0.05
CENTER_THRESHOLDS = np.arange(51.0)  # pixels
NORM_CENTER_THRESHOLDS = np.arange(51) / 100.0  # in units of the annotated width and height
THRESHOLDS = (OVERLAP_THRESHOLDS, CENTER_THRESHOLDS, NORM_CENTER_THRESHOLDS)


@dataclass(frozen=True)
class Curves:
    """Success (21,), precision (51,) and normalised precision (51,) as rates in [0, 1] at the thresholds above."""

    success: np.ndarray
    precision: np.ndarray
    norm_precision: np.ndarray

    @property
    def auc(self) -> float:
        """Area under the success curve: the mean of its 21 values."""
        return float(self.success.mean())

    @property
    def op50(self) -> float:
        """Share of frames with IoU > 0.5."""
        return float(self.success[10])

    @property
    def op75(self) -> float:
        """Share of frames with IoU > 0.75."""
        return float(self.success[15])

    @property
    def precision20(self) -> float:
        """Share of frames with a centre error of at most 20 pixels."""
        return float(self.precision[20])

    @property
    def norm_precision20(self) -> float:
        """Share of frames with a normalised centre error of at most 0.20."""
        return float(self.norm_precision[20])

    def scalars(self) -> dict[str, float]:
        """The five numbers of a table row, as rates in [0, 1]."""
        return {
            "auc": self.auc,
            "op50": self.op50,
            "op75": self.op75,
            "precision": self.precision20,
            "norm_precision": self.norm_precision20,
        }


def mean_curves(curves: Sequence[Curves]) -> Curves:
    """The pointwise mean of one or more curves, with equal weights; NaN for none."""
    if not curves:
        return Curves(*(np.full(len(each), np.nan) for each in THRESHOLDS))
    return Curves(
        success=np.mean([c.success for c in curves], axis=0),
        precision=np.mean([c.precision for c in curves], axis=0),
        norm_precision=np.mean([c.norm_precision for c in curves], axis=0),
    )


@dataclass(frozen=True)
class SequenceScore:
    """Curves of one sequence, and what was changed in the prediction to get them.

    Attributes:
        curves: the rates.
        frames: number of frames of the ground truth.
        invalid: number of these without a target.
        replaced: number of zero-size boxes that the box before them replaced.
        padded: number of missing boxes, filled with zeros.
        cut: number of surplus boxes, dropped.
        official: the benchmark's own measures if they are not these (`official.py`), by key.
        weight: of this sequence in the mean of the benchmark's own measures.
    """

    curves: Curves
    frames: int
    invalid: int
    replaced: int
    padded: int
    cut: int
    official: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0

    def scalars(self) -> dict[str, float]:
        """The numbers of a table row, the benchmark's own among them, as rates in [0, 1]."""
        return {**self.curves.scalars(), **self.official}


def overlap(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Intersection over union, row by row, (N, 4) x (N, 4) -> (N,) in [0, 1]; 0 if both boxes are empty."""
    top_left = np.maximum(pred[:, :2], gt[:, :2])
    bottom_right = np.minimum(pred[:, :2] + pred[:, 2:], gt[:, :2] + gt[:, 2:])
    intersection = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
    union = pred[:, 2:].prod(axis=1) + gt[:, 2:].prod(axis=1) - intersection
    iou = np.divide(intersection, union, out=np.zeros(len(gt)), where=union > 0)
    # (x + w) - x can exceed w by a rounding error; a perfect box must not pass the strict threshold of 1.
    return np.clip(iou, 0.0, 1.0)


def _center(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, :2] + 0.5 * (boxes[:, 2:] - 1.0)


def center_error(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Distance of the box centres xy + (wh - 1) / 2 in pixels, (N, 4) x (N, 4) -> (N,)."""
    return np.hypot(*(_center(pred) - _center(gt)).T)


def norm_center_error(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Distance of the box centres, with x divided by the annotated width and y by the annotated height.

    Args:
        pred: (N, 4).
        gt: (N, 4).

    Returns:
        (N,); infinite where the annotated box has no area.
    """
    difference = _center(pred) - _center(gt)
    scaled = np.divide(difference, gt[:, 2:], out=np.full_like(difference, np.inf), where=gt[:, 2:] > 0)
    return np.hypot(*scaled.T)


def valid_frames(gt: np.ndarray) -> np.ndarray:
    """Whether the annotation has a box of positive width and height, (N, 4) -> bool (N,).

    The position does not matter: a target that leaves the image on the left or at the top (x or y not positive, as in
    OTB's Biker) is a target. A rule on all four numbers would change published scores of OTB-100 in the fourth digit.
    """
    return np.isfinite(gt).all(axis=1) & (gt[:, 2:] > 0).all(axis=1)


def fit_prediction(pred: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, int]:
    """Fit the prediction to the annotation by the rules at the top of this file.

    Args:
        pred: (M, 4) predicted boxes.
        gt: (N, 4) annotated boxes.

    Returns:
        (N, 4) float64: the boxes to compare with the annotation; and how many zero-size boxes were replaced.

    Raises:
        ValueError: if the prediction has a NaN, infinite or negative size (`box_files.read_boxes` names file and
            line), or no annotated frame is valid.
    """
    pred, gt = np.array(pred, dtype=np.float64), np.asarray(gt, dtype=np.float64)
    if pred.ndim != 2 or pred.shape[1] != 4 or gt.ndim != 2 or gt.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4); the prediction is {pred.shape}, the ground truth {gt.shape}")
    if not np.isfinite(pred).all() or (pred[:, 2:] < 0).any():
        raise ValueError("the prediction holds a NaN, an infinite number or a negative size")
    if not valid_frames(gt).any():
        raise ValueError("no frame of the ground truth holds a box")

    # In PyTracking's order: a box carried forward from row 0 is the file's own row 0, and padding rows stay zero boxes.
    zero_size = (pred[:, 2:] == 0).any(axis=1)
    replaced = 0
    for i in range(1, min(len(pred), len(gt))):
        if zero_size[i] and not np.isnan(gt[i]).any():
            pred[i] = pred[i - 1]
            replaced += 1
    pred = np.concatenate([pred[: len(gt)], np.zeros((max(len(gt) - len(pred), 0), 4))])
    pred[0] = gt[0]
    return pred, replaced


def score_sequence(
    pred: np.ndarray,
    gt: np.ndarray,
    exclude_invalid: bool = False,
    rule: Rule = DEFAULT_RULE,
    visible: np.ndarray | None = None,
) -> SequenceScore:
    """Score one sequence by the rules at the top of this file.

    Args:
        pred: (M, 4) predicted boxes.
        gt: (N, 4) annotated boxes.
        exclude_invalid: leave frames without a visible target out of the rates.
        rule: the benchmark's.
        visible: (N,) bool, False where the benchmark says that the target is not visible; None if it says nothing.

    Raises:
        ValueError: if :func:`fit_prediction` does.
    """
    padded, cut = max(len(gt) - len(pred), 0), max(len(pred) - len(gt), 0)
    pred, replaced = fit_prediction(pred, gt)
    gt = np.asarray(gt, dtype=np.float64)
    shown = np.ones(len(gt), bool) if visible is None or not rule.uses_visibility else np.asarray(visible, bool)
    valid = valid_frames(gt) & shown
    if not valid.any():
        raise ValueError("no frame of the ground truth holds a visible target")
    present = np.where(valid[:, None], gt, 0.0)  # no NaN below; the values of invalid frames are set by rule
    pred[~valid] = 0.0
    iou = np.where(valid, overlap(pred, present), -1.0)
    center = np.where(valid, center_error(pred, present), np.where(shown, rule.absent_center, rule.hidden_center))
    norm = np.where(valid, norm_center_error(pred, present), np.where(shown, rule.absent_norm, rule.hidden_norm))
    if exclude_invalid:
        iou, center, norm = iou[valid], center[valid], norm[valid]
    curves = Curves(
        success=(iou[:, None] > OVERLAP_THRESHOLDS).mean(axis=0),
        precision=(center[:, None] <= CENTER_THRESHOLDS).mean(axis=0),
        norm_precision=(norm[:, None] <= NORM_CENTER_THRESHOLDS).mean(axis=0),
    )
    return SequenceScore(curves, frames=len(gt), invalid=int((~valid).sum()), replaced=replaced, padded=padded, cut=cut)
