"""Results as `ebm-track` writes them, and what they are of."""

from pathlib import Path

import numpy as np


def moving_boxes(length: int, seed: int = 0) -> np.ndarray:
    """(length, 4) float boxes with two decimals, inside an image of 320 x 240."""
    steps = np.random.default_rng(seed).normal(0, 2, (length, 4)).cumsum(axis=0)
    return np.clip([60, 50, 40, 30] + steps, 10, 120).round(2)


def write_otb(root: Path, truths: dict[str, np.ndarray]) -> None:
    """OTB's layout, with image files that nobody opens. Jogging-1 and Jogging-2 share a folder."""
    for name, truth in truths.items():
        base, dash, target = name.partition("-")
        (root / base / "img").mkdir(parents=True, exist_ok=True)
        for i in range(len(truth)):
            (root / base / "img" / f"{i + 1:04d}.jpg").touch()
        file = root / base / f"groundtruth_rect{'.' + target if dash else ''}.txt"
        np.savetxt(file, truth, "%.2f", delimiter=",")


def write_results(folder: Path, boxes: dict[str, np.ndarray], seconds: float = 0.1) -> None:
    """The files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in boxes.items():
        np.savetxt(folder / f"{name}.txt", each, "%.4f", delimiter="\t")
        np.savetxt(folder / f"{name}_time.txt", np.full(len(each), seconds), "%.6f")
