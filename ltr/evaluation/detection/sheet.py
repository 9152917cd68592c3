"""A contact sheet of objects before and after refinement: it shows what refinement improves and worsens."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor, as_tensor

from ebm_common import elementwise_iou, xywh_to_xyxy, xyxy_to_xywh
from ltr.common.figures import save_figure
from ltr.common.files import writing
from ltr.common.images import ImageReadError
from ltr.dataset import DetectionImages
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation
from ltr.evaluation.tables import REMEDY

_COLUMNS, _ROWS = 4, 3
_WIDTH = 1600  # pixels
_DPI = 200
_COLORS = {"ground truth": "white", "before": "#ff9d2e", "after": "#3fb2ff"}
_DASHED = (0, (3, 1.5))
_MIN_IOU = 0.5  # of a detected object, before or after: COCO's most lenient threshold
_SAME = 0.005  # a smaller change of the IoU counts as none
_GROUPS = (("most improved", 6), ("most worsened", 3), ("at random", 3))

Boxes = Mapping[str, Tensor | np.ndarray | Sequence]


class Images(Protocol):
    """Images with names."""

    @property
    def files(self) -> Sequence[str]: ...

    def image(self, i: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB."""


@dataclass(frozen=True)
class Change:
    """A detected object with its box before and after refinement; boxes are (4,) xyxy in pixels."""

    image: int
    label: int
    score: float
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray
    iou_before: float
    iou_after: float

    @property
    def gain(self) -> float:
        return self.iou_after - self.iou_before


def changes(before: Sequence[Boxes], after: Sequence[Boxes], truth: Sequence[Boxes]) -> list[Change]:
    """How refinement changed the box of each detected object.

    Detections before and after refinement belong together if label and score are equal. In the order of their scores,
    each is matched to the remaining object of its label with the largest IoU, before or after; it must be at least 0.5.

    Args:
        before, after: for each image {"boxes": (n, 4) xyxy, "labels": (n,), "scores": (n,)}; tensors, arrays or lists.
        truth: for each image {"boxes": (m, 4) xyxy, "labels": (m,)}.
    """
    found = []
    for number, (b, a, t) in enumerate(zip(before, after, truth, strict=True)):
        start, end, goal = (as_tensor(x["boxes"]).cpu().double().reshape(-1, 4) for x in (b, a, t))
        keys, goal_labels = _keys(b), as_tensor(t["labels"]).cpu()
        unmatched = torch.ones(len(goal), dtype=torch.bool)
        for i, j in _pairs(keys, _keys(a)):
            label, score = keys[i]
            old, new = (elementwise_iou(xyxy_to_xywh(box), xyxy_to_xywh(goal)) for box in (start[i], end[j]))
            best = old.maximum(new).where(unmatched & (goal_labels == label), torch.zeros(()).to(old))
            if not len(goal) or best.max() < _MIN_IOU:
                continue
            k = int(best.argmax())
            unmatched[k] = False
            boxes = (goal[k].numpy(), start[i].numpy(), end[j].numpy())
            found.append(Change(number, label, score, *boxes, float(old[k]), float(new[k])))
    return found


def contact_sheet(
    images: Images,
    before: Sequence[Boxes],
    after: Sequence[Boxes],
    truth: Sequence[Boxes],
    categories: Mapping[int, str],
    path: Path,
    title: str = "Boxes before and after refinement",
) -> None:
    """Writes a PNG, 1600 pixels wide: twelve objects before and after refinement, with their IoU with the ground truth.

    Six are the objects whose IoU rose most, three those whose IoU fell most, and three are random (always the same);
    they come from as many images as possible. A line above them summarises all objects.

    Args:
        images: `image(i)` and `files[i]` belong to entry i of the next three.
        before, after, truth: see :func:`changes`.
        categories: label -> name.
        path: of the PNG.
        title: first line.

    Raises:
        UserError: if the file cannot be written.
    """
    found = changes(before, after, truth)
    # names of files and categories are no formulas, even if they contain dollars
    with matplotlib.rc_context({"font.family": "sans-serif", "font.size": 5.5, "text.parse_math": False}):
        figure = _draw(images, found, categories, title)
        with writing(path, REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_figure(figure, path, dpi=_DPI)


def draw_sheet(
    images: DetectionImages,
    before: DetectorEvaluation,
    after: DetectorEvaluation,
    path: Path,
    title: str = "Boxes before and after refinement",
) -> Path:
    """Draws the contact sheet of a detector's results without and with refinement, on the images that both have.

    Returns:
        The path.

    Raises:
        UserError: if the file cannot be written.
    """
    num_images = min(before.num_images, after.num_images)
    row = {int(image_id): i for i, image_id in enumerate(images.ids[:num_images])}

    def by_image(result: DetectorEvaluation) -> list[dict[str, Any]]:
        found: list[list[dict[str, Any]]] = [[] for _ in row]
        for detection in result.detections:
            if detection["image_id"] in row:
                found[row[detection["image_id"]]].append(detection)
        return [
            {
                "boxes": xywh_to_xyxy(torch.tensor([d["bbox"] for d in each]).reshape(-1, 4)),
                "labels": [d["category_id"] + images.label_offset for d in each],
                "scores": [d["score"] for d in each],
            }
            for each in found
        ]

    truth = [{"boxes": images.boxes(i), "labels": images.labels(i)} for i in range(num_images)]
    title = f"{title} ({images.name}, {num_images} images)"
    contact_sheet(images, by_image(before), by_image(after), truth, images.categories, path, title)
    return path


def choose(found: Sequence[Change]) -> list[tuple[str, Change]]:
    """The changes to show, in order, each with the name of its group.

    An image appears a second time only if no other is left. A change below 0.005 counts as no change.
    """
    by_gain = sorted(found, key=lambda c: -c.gain)
    shuffled = [found[k] for k in np.random.default_rng(0).permutation(len(found))]
    orders = {
        "most improved": [c for c in by_gain if c.gain >= _SAME],
        "most worsened": [c for c in reversed(by_gain) if c.gain <= -_SAME],
        "at random": shuffled,
    }
    chosen: list[tuple[str, Change]] = []
    seen: dict[int, int] = {}
    taken: set[int] = set()
    for name, number in _GROUPS:
        for _ in range(number):
            left = [c for c in orders[name] if id(c) not in taken]
            if left:
                best = min(left, key=lambda c: seen.get(c.image, 0))  # the first of the least shown images
                chosen.append((name, best))
                taken.add(id(best))
                seen[best.image] = seen.get(best.image, 0) + 1
    return chosen


def summary(found: Sequence[Change]) -> str:
    """A summary of the changes of all objects, in one line."""
    if not found:
        return "No object was found."
    gain = np.array([c.gain for c in found])
    up, down = (gain >= _SAME).mean(), (gain <= -_SAME).mean()
    old, new = np.mean([c.iou_before for c in found]), np.mean([c.iou_after for c in found])
    return (
        f"{len(found)} objects found (IoU of 0.5 before or after): IoU with the ground truth {old:.3f} → {new:.3f} on "
        f"average; rose for {up:.0%}, fell for {down:.0%}, changed by less than {_SAME} for {1 - up - down:.0%}"
    )


def _pairs(before: list[tuple[int, float]], after: list[tuple[int, float]]) -> list[tuple[int, int]]:
    """Indices (before, after) of the same detections, the highest score first."""
    indices: dict[tuple[int, float], list[int]] = {}
    for j, key in enumerate(after):
        indices.setdefault(key, []).append(j)
    pairs = []
    for i in sorted(range(len(before)), key=lambda i: -before[i][1]):
        if indices.get(before[i]):
            pairs.append((i, indices[before[i]].pop(0)))
    return pairs


def _keys(found: Boxes) -> list[tuple[int, float]]:
    labels, scores = as_tensor(found["labels"]).tolist(), as_tensor(found["scores"]).tolist()
    return [(label, round(score, 5)) for label, score in zip(labels, scores, strict=True)]


def _draw(images: Images, found: Sequence[Change], categories: Mapping[int, str], title: str) -> Figure:
    width, height = _WIDTH / _DPI, 7.6  # inches
    figure = Figure((width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.006, 0.984, title, fontsize=9, fontweight="bold", va="center")
    figure.text(0.006, 0.961, summary(found), fontsize=6.5, va="center")
    figure.legend(
        handles=[
            Line2D([], [], color=color, lw=1.6, ls=_DASHED if name == "ground truth" else "-", label=name)
            for name, color in _COLORS.items()
        ],
        loc="upper left", bbox_to_anchor=(0.006, 0.949), borderaxespad=0, ncols=3, fontsize=6.5, facecolor="#444444",
        labelcolor="white", edgecolor="none", borderpad=0.5, handlelength=3,
    )  # fmt: skip
    cell_w, cell_h, header = 1 / _COLUMNS, 0.92 / _ROWS, 0.054
    for k, (group, change) in enumerate(choose(found)):
        left, upper = k % _COLUMNS * cell_w + 0.006, 0.92 - k // _COLUMNS * cell_h
        size = cell_w - 0.012, cell_h - header
        axes = figure.add_axes((left, upper - cell_h + 0.006, *size))
        _panel(axes, images, change, size[0] * width / (size[1] * height))
        color = "#0a7a2f" if change.gain >= _SAME else "#b3261e" if change.gain <= -_SAME else "#444444"
        line = f"IoU {change.iou_before:.2f} → {change.iou_after:.2f}  ({change.gain:+.2f})"
        name = categories.get(change.label, f"label {change.label}")
        figure.text(left, upper - 0.022, line, fontsize=7, color=color, fontweight="bold")
        figure.text(left + size[0], upper - 0.022, group, fontsize=5.5, color="#333333", ha="right")
        below = f"{name} {change.score:.2f}, {Path(images.files[change.image]).name[-30:]}"
        figure.text(left, upper - 0.038, below, fontsize=6, color="#333333")
    return figure


def _panel(axes, images: Images, change: Change, aspect: float) -> None:
    """The surroundings of an object, width / height = aspect, and its three boxes."""
    axes.set_axis_off()
    boxes = np.stack([change.truth, change.before, change.after])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    center, size = (low + high) / 2, np.maximum((high - low) * 1.5, 64)
    size = np.maximum(size, size[::-1] * np.array([aspect, 1 / aspect]))
    (x0, y0), (x1, y1) = center - size / 2, center + size / 2
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor="#dddddd", zorder=-1))
    with contextlib.suppress(ImageReadError):  # the detector could read it, but now it is gone
        image = images.image(change.image)
        height, width = image.shape[:2]
        axes.imshow(image, extent=(0, width, height, 0), interpolation="bicubic", aspect="auto")
    for (left, upper, right, lower), (name, color) in zip(boxes, _COLORS.items(), strict=True):
        corner, width, height = (left, upper), right - left, lower - upper
        # a black outline makes the box visible on any background
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="black", lw=2.4, alpha=0.6))
        style = _DASHED if name == "ground truth" else "-"
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, lw=1.5, ls=style))
    axes.set_xlim(x0, x1)
    axes.set_ylim(y1, y0)
