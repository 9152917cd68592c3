"""The search of step-lengths, on a detector whose boxes and energy are known."""

import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from ltr.evaluation.detection.step_search import search_steps
from ltr.models.detection import DetectionRefinementSettings, Detector, DetectorSettings
from ltr.models.detection.faster_rcnn import BaseSettings

TRUTH = np.array([[20.0, 10, 60, 50], [70, 40, 110, 90]], np.float32)


class Images:
    name = "two objects"

    def usable(self):
        return np.array([0])

    def image(self, i):
        return np.zeros((96, 128, 3), np.uint8)

    def boxes(self, i):
        return TRUTH

    def labels(self, i):
        return np.array([1, 2])


@pytest.fixture
def detector(monkeypatch):
    """Finds both objects eight pixels to the left, and f falls with the distance of the centre from the truth's."""
    settings = DetectorSettings(base=BaseSettings("efficientnet_lite0_fpn", 3, 96, 128))
    settings.refinement = DetectionRefinementSettings((0.02, 0.02), decay=1.0, iterations=5)
    detector = Detector(settings).eval()
    found = {
        "boxes": torch.tensor(TRUTH - [8, 0, 8, 0]).float(),
        "labels": torch.tensor([1, 2]),
        "scores": torch.ones(2),
    }
    monkeypatch.setattr(detector, "suppressed", lambda encoded: [found])
    monkeypatch.setattr(detector, "encode", lambda images: type("E", (), {"features": None, "sizes": [(96, 128)]}))
    monkeypatch.setattr(
        detector, "pyramid", lambda features, sizes: type("P", (), {"image_sizes": sizes, "maps": [], "bins": 7})
    )
    centres = torch.tensor(TRUTH[:, :2] + TRUTH[:, 2:]) / 2

    def score(objects, boxes):
        centre = (boxes[..., :2] + boxes[..., 2:]) / 2
        return -((centre - centres[objects.label - 1][:, None]) / objects.size[:, None]).square().sum(-1)

    monkeypatch.setattr(detector.branch, "score", score)
    return detector


def test_the_step_that_comes_nearest_to_the_truth_is_first_and_the_detector_is_as_before(detector):
    own = detector.refinement
    found = search_steps(detector, Images(), factors=(0.01, 25.0, 1.0))
    # y <- y + 2 step (y* - y): five steps of 0.02 leave 0.96^5 of the way, one of 0.5 none, steps of 0.0002 nearly all
    assert [round(s.step[0], 6) for s, _ in found] == [0.5, 0.02, 0.0002]
    assert found[0][1] == pytest.approx(1.0, abs=1e-4)
    shift = 8 * 0.96**5
    assert found[1][1] == pytest.approx((40 - shift) / (40 + shift), abs=1e-3)
    assert detector.refinement is own


def test_nothing_detected_is_one_sentence(detector, monkeypatch):
    nothing = {"boxes": torch.tensor([[0.0, 0, 5, 5]]), "labels": torch.tensor([1]), "scores": torch.ones(1)}
    monkeypatch.setattr(detector, "suppressed", lambda encoded: [nothing])
    with pytest.raises(UserError, match="nothing in two objects was detected"):
        search_steps(detector, Images())
