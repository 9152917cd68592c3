"""Which of BIWI's 24 videos each row of a file shows that holds whole videos, one after the other.

FSA-Net's BIWI_train.npz and BIWI_test.npz keep the frames of a folder together and the folders in their order, but not
their names. The lengths of the videos are known, and a head that turns moves little between two frames, but jumps from
one video to the next: of all choices of videos whose lengths add up to the rows, the one with the largest jumps at its
joints is taken. A test finds ten random choices of 16 videos among the real poses.
"""

from __future__ import annotations

import numpy as np

BIWI_LENGTHS = (
    *(498, 511, 730, 744, 946, 542, 745, 772, 882, 726, 572, 732),
    *(485, 797, 654, 914, 395, 614, 502, 556, 634, 665, 569, 492),
)
"""Poses of the folders 01 to 24."""
_CAP, _COST = 20.0, 3.0  # degrees: of a jump that counts no more, and that a joint has to exceed
_JOINTS = 0.75  # of all joints have a jump of more than _COST
_USUAL = 3.0  # degrees: frames of a video whose median step is longer are not in order


def find_biwi_videos(poses: np.ndarray) -> list[str] | None:
    """The folder, '01' to '24', of each row.

    Args:
        poses: (N, 3), angles in degrees. One video may have one frame more than poses: FSA-Net's files have 15,678.

    Returns:
        N names; None if the rows are no whole videos in order.
    """
    if len(poses) < min(BIWI_LENGTHS):
        return None
    steps = np.abs(np.diff(poses, axis=0)).max(axis=1)
    if np.median(steps) > _USUAL:
        return None
    gain = np.minimum(np.concatenate([[_CAP], steps]), _CAP) - _COST
    # best[m, r]: the largest sum of gains of videos that fill the first r rows, m of them with a frame more
    best = np.full((2, len(poses) + 1), -np.inf)
    best[0, 0] = 0.0
    choices = []
    for length in BIWI_LENGTHS:
        taken = np.full((2, 2, len(poses) + 1), -np.inf)  # m, whether this video has a frame more, r
        for longer, more in ((0, 0), (1, 0), (1, 1)):
            rows = len(poses) + 1 - length - more
            if rows > 0:
                taken[longer, more, length + more :] = best[longer - more, :rows] + gain[:rows]
        choices.append(np.where(taken.max(axis=1) > best, 1 + taken.argmax(axis=1), 0))
        best = np.maximum(best, taken.max(axis=1))
    longer = int(best[1, -1] > best[0, -1])
    row, names, starts = len(poses), [], []
    if not np.isfinite(best[longer, row]):
        return None
    for number in range(len(BIWI_LENGTHS), 0, -1):
        choice = choices[number - 1][longer, row]
        if choice:
            length = BIWI_LENGTHS[number - 1] + choice - 1
            names.append([f"{number:02}"] * length)
            row, longer = row - length, longer - (choice - 1)
            starts.append(row)
    if len(starts) > 1 and (gain[starts[:-1]] > 0).mean() < _JOINTS:  # lengths that add up by chance
        return None
    return [name for video in reversed(names) for name in video]
