"""Benchmarks in miniature, in the exact form in which each is published: a few sequences of a few frames."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48


def boxes(count: int, absent: Iterable[int] = ()) -> np.ndarray:
    """(count, 4): a target that moves a pixel a frame, with zeros where it is absent."""
    rows = np.array([[5 + index % 20, 6, 16, 12] for index in range(count)], np.float64)
    rows[list(absent)] = 0
    return rows


def write_frames(folder: Path, numbers: Iterable[int], digits: int, photographs: Iterable[Path] = ()) -> None:
    """JPEG files with these numbers: the photographs, one after another, scaled down; or grey with a white target."""
    folder.mkdir(parents=True, exist_ok=True)
    real = [cv2.resize(cv2.imread(str(file)), (WIDTH, HEIGHT)) for file in photographs]
    for index, number in enumerate(numbers):
        image = real[index % len(real)].copy() if real else np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
        if not real:
            x, y, w, h = boxes(index + 1)[-1].astype(int)
            image[y : y + h, x : x + w] = 255
        cv2.imwrite(str(folder / f"{number:0{digits}d}.jpg"), image)


def rows_text(rows: np.ndarray, separator: str = ",", form: str = "g") -> str:
    """The rows of a box file."""
    return "".join(separator.join(f"{value:{form}}" for value in row) + "\n" for row in rows)


def write_got10k(
    root: Path, split: str = "val", count: int = 6, names: int = 2, photographs: Iterable[Path] = ()
) -> Path:
    """GOT-10k: list.txt, images beside groundtruth.txt, labels; one line of truth in test/."""
    listed = [f"GOT-10k_{split.title()}_{number:06d}" for number in range(1, names + 1)]
    (root / split).mkdir(parents=True)
    (root / split / "list.txt").write_text("\n".join(listed) + "\n")
    for name in listed:
        folder = root / split / name
        write_frames(folder, range(1, count + 1), 8, photographs)
        rows = boxes(count)
        (folder / "groundtruth.txt").write_text(rows_text(rows[:1] if split == "test" else rows, form=".4f"))
        if split != "test":
            cover, absence = np.full(count, 8), np.zeros(count, int)
            cover[3], absence[3] = 0, 1
            (folder / "cover.label").write_text("".join(f"{value}\n" for value in cover))
            (folder / "absence.label").write_text("".join(f"{value}\n" for value in absence))
            (folder / "cut_by_image.label").write_text("0\n" * count)
            (folder / "meta_info.ini").write_text(
                f"[METAINFO]\nurl: https://youtu.be/x\nbegin: 00:00:00\nresolution: ({WIDTH}, {HEIGHT})\n"
            )
    return root


def write_lasot(root: Path, names: Iterable[str] = ("airplane-1", "bus-2"), count: int = 6) -> Path:
    """LaSOT: folders of categories, occlusion and out-of-view flags on one line, and an image more than lines."""
    for name in names:
        folder = root / name.rsplit("-", 1)[0] / name
        write_frames(folder / "img", range(1, count + 2), 8)
        rows = boxes(count)
        (folder / "groundtruth.txt").write_text(rows_text(rows))
        (folder / "full_occlusion.txt").write_text(",".join("1" if i == 2 else "0" for i in range(count)))
        (folder / "out_of_view.txt").write_text(",".join("1" if i == 4 else "0" for i in range(count)) + "\n")
        (folder / "nlp.txt").write_text("a white target")
    return root


def write_trackingnet(root: Path, part: str = "TEST", names: int = 2, count: int = 12) -> Path:
    """TrackingNet: frames/NAME/0.jpg without leading zeros, anno/NAME.txt; one line of truth in TEST/."""
    (root / part / "anno").mkdir(parents=True)
    for number in range(names):
        name = f"0-6LB4FqxoE_{number}"
        write_frames(root / part / "frames" / name, range(count), 1)
        rows = boxes(count)[: 1 if part == "TEST" else count]
        (root / part / "anno" / f"{name}.txt").write_text(rows_text(rows, form=".2f"))
    return root


def write_uav(root: Path, frames: dict[str, tuple[int, int]], version: str = "UAV123") -> Path:
    """UAV123: data_seq, anno and attributes; a frame without a target is NaN. ``frames`` are first and last by name."""
    (root / "anno" / version / "att").mkdir(parents=True)
    for name, (first, last) in frames.items():
        folder = name if not name.rpartition("_")[2].isdigit() else name.rpartition("_")[0]
        write_frames(root / "data_seq" / version / folder, range(first, last + 1), 6)
        rows = boxes(last - first + 1)
        rows[5] = np.nan
        (root / "anno" / version / f"{name}.txt").write_text(rows_text(rows).replace("nan", "NaN"))
        (root / "anno" / version / "att" / f"{name}.txt").write_text("1,0,1,0,0,0,0,0,0,0,0,1")
    return root


def write_tpl(root: Path, frames: dict[str, tuple[int, int]]) -> Path:
    """Temple Color 128: NAME/img, NAME_gt.txt and NAME_frames.txt. ``frames`` are first and last by name."""
    for name, (first, last) in frames.items():
        write_frames(root / name / "img", range(first, last + 1), 4)
        (root / name / f"{name}_gt.txt").write_text(rows_text(boxes(last - first + 1)))
        (root / name / f"{name}_frames.txt").write_text(f"{first},{last}\n")
    return root


def write_dtb70(root: Path, names: Iterable[str] = ("Animal1", "Yacht4"), count: int = 6) -> Path:
    """DTB70: OTB's layout with five digits."""
    for name in names:
        write_frames(root / name / "img", range(1, count + 1), 5)
        (root / name / "groundtruth_rect.txt").write_text(rows_text(boxes(count)))
    return root


def mask_line(x: int, y: int, mask: np.ndarray) -> str:
    """A VOT mask of a window (H, W) whose first pixel is (x, y)."""
    flat = np.concatenate([[0], mask.astype(int).ravel(), [0]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])) if len(edges) else np.array([mask.size])
    return "m" + ",".join(map(str, [x, y, mask.shape[1], mask.shape[0], *runs]))


def write_vot(root: Path, count: int = 6) -> Path:
    """A VOT workspace: polygons of VOT2018, boxes of VOT-LT with NaN, masks of VOT2020."""
    sequences = root / "sequences"
    mask = np.zeros((12, 16), bool)
    mask[2:10, 3:13] = True
    lines = {
        "ants1": [f"{5 + i},10,{12 + i},6,{21 + i},14,{12 + i},18" for i in range(count)],
        "ball1": ["nan,nan,nan,nan" if i == 3 else f"{5 + i},6,16,12" for i in range(count)],
        "cup": [mask_line(4 + i, 5, mask) for i in range(count)],
    }
    for name, rows in lines.items():
        write_frames(sequences / name / "color", range(1, count + 1), 8)
        (sequences / name / "groundtruth.txt").write_text("\n".join(rows) + "\n")
        (sequences / name / "sequence").write_text("channels.color=color/%08d.jpg\nfps=30\n")
    (sequences / "list.txt").write_text("\n".join(lines) + "\n")
    (root / "config.yaml").write_text("registry:\n- ./trackers.ini\nstack: vot2018\n")
    return root
