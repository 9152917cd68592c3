"""The search of a detector's steps, on one whose boxes and energy are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.evaluation.steps.by_workers import Part
from ltr.evaluation.steps.detections import measure_detections, measure_images
from ltr.evaluation.steps.measured import measured_log
from ltr.models.detection import DetectionRefinementSettings, Detector, DetectorSettings
from ltr.models.detection.faster_rcnn import BaseSettings

TRUTH = np.array([[20.0, 10, 60, 50], [70, 40, 110, 90]], np.float32)
OWN = DetectionRefinementSettings((0.02, 0.02), decay=1.0, iterations=5)


class Images:
    name = "two objects"
    ids = np.array([7, 9])
    files = ["7.png", "9.png"]

    def __init__(self, number=1, unreadable=()):
        self.number, self.unreadable = number, unreadable

    def usable(self):
        return np.arange(self.number)

    def image(self, i):
        if i in self.unreadable:
            raise ImageReadError("no image")
        return np.zeros((96, 128, 3), np.uint8)

    def boxes(self, i):
        return TRUTH

    def labels(self, i):
        return np.array([1, 2])


@pytest.fixture(params=["ebm", "iou_net"])
def detector(monkeypatch, request):
    """Finds both objects eight pixels to the left, and f falls with the distance of the centre from the truth's."""
    settings = DetectorSettings(request.param, BaseSettings("efficientnet_lite0_fpn", 3, 96, 128), replace(OWN))
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


def iou_of_shift(shift):
    return 100 * (40 - shift) / (40 + shift)


@pytest.mark.parametrize("detector", ["ebm"], indirect=True)
def test_the_step_of_the_closed_form_is_the_best_and_the_detector_is_as_before(detector):
    own = detector.refinement
    tried = [replace(own, step=(step, size)) for step in (0.0002, 0.02, 0.5) for size in (0.001, 0.1)]
    before, values = measure_detections(detector, Images(), tried)
    # y <- y + 2 step (y* - y): five steps of 0.02 leave 0.96^5 of the way, one of 0.5 none, steps of 0.0002 nearly all.
    # The energy does not depend on the size.
    wanted = [iou_of_shift(8 * (1 - 2 * step) ** 5) for step in (0.0002, 0.02, 0.5) for _ in range(2)]
    np.testing.assert_allclose(values, wanted, atol=0.05)
    assert before == pytest.approx(iou_of_shift(8), abs=1e-3) and values.argmax() == 4
    assert detector.refinement is own


@pytest.mark.parametrize("detector", ["ebm"], indirect=True)
def test_a_step_too_long_needs_the_decay(detector):
    """From a step of 1.5 the first two fail: with a decay of 0.5 the third, of 0.375, leaves a quarter, and so on."""
    tried = [replace(OWN, step=(1.5, 1.5), decay=decay, iterations=4) for decay in (1.0, 0.5, 1 / 3)]
    _, values = measure_detections(detector, Images(), tried)
    # 1 - 2 * 1.5 = -2 and 1 - 2 * 0.75 = -0.5: the first overshoots to twice the distance, the second to half of it
    np.testing.assert_allclose(values, [iou_of_shift(8), iou_of_shift(1.0), iou_of_shift(0.0)], atol=0.05)


def test_settings_that_are_tried_together_are_refined_as_alone(detector):
    tried = [
        replace(OWN, step=(p, s), decay=decay, iterations=iterations)
        for p in (0.1, 1.5)
        for s in (0.002, 0.2)
        for decay, iterations in ((1.0, 3), (0.5, 3), (0.5, 2))
    ]
    _, values = measure_detections(detector, Images(), tried)
    alone = [measure_detections(detector, Images(), [settings])[1][0] for settings in tried]
    np.testing.assert_allclose(values, alone, atol=1e-3)
    assert len(set(values.round(1))) >= 4  # they do differ


def test_a_search_goes_on_and_leaves_unreadable_images_out(detector, tmp_path, monkeypatch, caplog):
    tried = [OWN]
    with measured_log(tmp_path / "log", tried, {}) as log:
        whole = measure_detections(detector, Images(2), tried, log)
    with measured_log(tmp_path / "log", tried, {}) as log:
        monkeypatch.setattr(detector, "encode", None)  # nothing is computed again
        assert measure_detections(detector, Images(2), tried, log) == whole
        assert measure_detections(detector, Images(2), tried, log, limit=1) == whole
    monkeypatch.undo()
    assert not caplog.text


def test_parts_of_the_images_are_the_whole(detector):
    with measured_log(None, [OWN], {}) as parts, measured_log(None, [OWN], {}) as whole:
        for index in range(3):
            measure_images(detector, Images(2), [OWN], parts, None, "images", Part(index, 3))
        measure_images(detector, Images(2), [OWN], whole, None, "images")
        assert sorted(parts.keys()) == sorted(whole.keys())
        assert all(parts[key] == whole[key] for key in whole.keys())


@pytest.mark.parametrize("detector", ["ebm"], indirect=True)
def test_an_unreadable_image_is_left_out_with_a_word(detector, caplog):
    before, values = measure_detections(detector, Images(2, unreadable=[1]), [OWN])
    assert before == pytest.approx(iou_of_shift(8), abs=1e-3)
    assert "9.png is left out: no image" in caplog.text


@pytest.mark.parametrize("detector", ["ebm"], indirect=True)
def test_nothing_detected_is_one_sentence(detector, monkeypatch):
    nothing = {"boxes": torch.tensor([[0.0, 0, 5, 5]]), "labels": torch.tensor([1]), "scores": torch.ones(1)}
    monkeypatch.setattr(detector, "suppressed", lambda encoded: [nothing])
    with pytest.raises(UserError, match="nothing in two objects was detected"):
        measure_detections(detector, Images(), [OWN])
