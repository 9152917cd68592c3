"""Frames with all that a tracker can report, for the tests of the live view."""

import numpy as np
import torch

from ebm_common.importance import importance_sample
from ebm_common.proposals import GaussianMixtureProposal
from pytracking.tracker.base import TrackerOutput
from pytracking.tracker.density import CornerDensity, TrackedBoxDensity
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap
from pytracking.view.base import Target, TrackedFrame

BOX = np.array([30.0, 20.0, 24.0, 16.0])
SIGMA = np.array([1.0, 2.0, 1.5, 0.5])
HEIGHT, WIDTH = 90, 120


def box_density(box=BOX):
    """A normal density of x, y, w, h around `box`, with standard deviations SIGMA, by importance sampling."""
    center = torch.from_numpy(box)[None]

    def energy(y):
        return -0.5 * ((y - center[:, None]) / torch.from_numpy(SIGMA)).square().sum(-1)

    proposal = GaussianMixtureProposal(torch.tensor([[4.0, 4.0, 4.0, 4.0]], dtype=torch.float64))
    sample = importance_sample(energy, center, proposal, 2000, torch.Generator().manual_seed(0))
    x, y, w, h = box
    across, down = x + w + np.linspace(-9, 9, 19), y + np.linspace(-6, 6, 13)
    log = -0.5 * ((across[None] - (x + w)) ** 2 + (down[:, None] - y) ** 2) - np.log(2 * np.pi)
    corner = CornerDensity(across, down, log, (x, y + h))
    return TrackedBoxDensity(box, corner, sample, sample.y[0].numpy(), lambda boxes: np.zeros(len(boxes)))


def events(frame=2):
    scores = np.zeros((5, 5))
    scores[1, 3] = 0.8
    starts = BOX + np.arange(4)[:, None] * [1.0, 0, 0, 0]
    paths = np.stack([starts, starts + 1, starts + 2])
    values = np.arange(8.0).reshape(2, 4)
    return (
        ScoreMap(scores, (10.0, 0.0, 40.0, 80.0), 0.25),
        RefinementPaths(paths, values, np.array([3, 1]), "energy"),
        OptimizerLoss(np.array([3.0, 1.0, 0.5]), "first frame" if frame == 1 else "update"),
    )


def live_frame(index=1, total=20, density=True, told=True, seconds=0.02, view_seconds=0.0, energy=5.0, truth=True):
    """A frame, counted from 0, with or without density and events."""
    first = index == 0
    output = TrackerOutput(
        BOX + [index, 0, 0, 0], 0.7, density=box_density() if density and not first else None, extra={"energy": energy}
    )
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    target = Target(
        "target", output, BOX, BOX + 0.5 if truth else None, events(index + 1) if told else (), seconds, view_seconds
    )
    return TrackedFrame("clip", index, total, image, (target,))
