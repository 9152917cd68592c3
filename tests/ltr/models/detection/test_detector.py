"""The ten detectors: what they return, and what they refuse."""

import pytest
import torch

from ltr.models.detection import (
    REFINEMENT,
    SYSTEMS,
    Detector,
    DetectorSettings,
)
from ltr.models.detection.faster_rcnn import BaseSettings
from tests.helpers.tiny_detectors import (
    CLASSES,
    LITE,
    RESNET,
    assert_equal,
    assert_sound,
    detector_of,
    make_detector,
    photographs,
)

REFINING = tuple(REFINEMENT)
SIZES = [(96, 128), (60, 83)]  # scaling back rounds boxes of the second beyond its border


# --- detections
@pytest.mark.parametrize("system", SYSTEMS)
def test_detections_are_in_torchvisions_form_and_repeatable(system):
    detector = detector_of(system)
    images = photographs(*SIZES)
    found = detector(images)
    assert min(len(d["boxes"]) for d in found) > 20
    for one, image in zip(found, images, strict=True):
        assert_sound(one, image, exactly_inside=detector.refines)
    assert_equal(detector(images), found)
    with torch.inference_mode():
        assert_equal(detector(photographs(*SIZES)), found)
    with torch.no_grad():
        assert_equal(detector.detect(images), found)


@pytest.mark.parametrize("system", ["direct", "mixture4", "cvae", *REFINING])
def test_several_images_at_once_are_as_one_by_one(system):
    """As far as float32 allows: a batch's convolutions may add in another order than a single image's.

    Then features differ by a relative 1e-6, and boxes before refinement by no more than the tolerance. The climb is not
    continuous: the gradient of f jumps where a hidden unit (ReLU) is zero. Where a box passes such a point within
    rounding, its next step is another one, and it may end 0.5 px away. Relative noise of 3e-6 in the features does that
    to 0.4% of IoU-Net's boxes, noise of 1e-6 to none of 1440; so 2% of the boxes may differ after refinement. The next
    test has the climb in float64, where all agree.
    """
    detector = detector_of(system)
    images = photographs((96, 128), (96, 128), (96, 128))
    rough = [detector.detect([image], refine=False)[0] for image in images]
    assert_equal(detector.detect(images, refine=False), rough, rtol=1e-3, atol=1e-2)
    alone, together = [detector([image])[0] for image in images], detector(images)
    same = []
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["scores"], other["scores"], rtol=1e-3, atol=1e-2)
        same.append(torch.isclose(one["boxes"], other["boxes"], rtol=1e-3, atol=1e-2).all(1))
    assert torch.cat(same).float().mean() >= (0.98 if detector.refines else 1)


@pytest.mark.parametrize("system", REFINING)
def test_boxes_of_several_images_are_refined_as_those_of_one(system):
    detector = make_detector(system)
    encoded = detector.encode(photographs((96, 128), (96, 128), (96, 128)))
    found = detector.suppressed(encoded)
    detector.branch.double()
    features = {name: level.double() for name, level in encoded.features.items()}
    image = torch.cat([torch.full_like(f["labels"], i) for i, f in enumerate(found)])
    boxes, labels = torch.cat([f["boxes"] for f in found]).double(), torch.cat([f["labels"] for f in found])
    together, f_together = detector.refine(detector.pyramid(features, encoded.sizes), image, labels, boxes)
    assert ((together - boxes).abs().amax(1) > 1e-4).double().mean() > 0.5
    for i in range(3):
        of_one = {name: level[i : i + 1] for name, level in features.items()}
        pyramid, own = detector.pyramid(of_one, encoded.sizes[i : i + 1]), image == i
        alone, f_alone = detector.refine(pyramid, torch.zeros_like(image[own]), labels[own], boxes[own])
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-6)
        torch.testing.assert_close(f_together[own], f_alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("system", REFINING)
def test_without_refinement_the_same_is_found_elsewhere(system):
    detector = detector_of(system)
    images = photographs(*SIZES)
    rough, refined = detector.detect(images, refine=False), detector(images)
    for a, b, image in zip(rough, refined, images, strict=True):
        assert_sound(a, image, exactly_inside=True)
        assert torch.equal(a["labels"], b["labels"]) and torch.equal(a["scores"], b["scores"])
    moved = torch.cat([(a["boxes"] - b["boxes"]).abs().amax(1) for a, b in zip(rough, refined, strict=True)])
    assert (moved > 1e-4).float().mean() > 0.5


@pytest.mark.parametrize("system", ["direct", "ebm"])
def test_more_detections_of_a_crowded_image(system):
    image = photographs((96, 128))[0]
    detector = make_detector(system)
    before = detector.detect([image], refine=False)[0]
    assert detector.max_detections == len(before["boxes"]) == 40
    detector.max_detections = 60
    after = detector.detect([image], refine=False)[0]
    assert len(after["boxes"]) == 60 and detector.base.rpn._post_nms_top_n["testing"] == 105


def test_only_refining_systems_have_a_climb():
    for system in SYSTEMS:
        detector = detector_of(system)
        assert detector.system == system and detector.refines == (system in REFINING)
        assert detector.num_classes == CLASSES
    images = photographs(*SIZES)
    assert_equal(detector_of("gaussian").detect(images, refine=False), detector_of("gaussian")(images))


def test_density_systems_regress_their_mean_and_nothing_else_of_the_base():
    """With the mean of FC-BB itself, a Gaussian finds what the base finds."""
    detector = make_detector("gaussian")
    offsets = detector.base.roi_heads.box_predictor.bbox_pred
    images = photographs(*SIZES)
    assert not torch.equal(detector(images)[0]["boxes"], detector_of("direct")(images)[0]["boxes"])
    detector.branch.bb_mean.load_state_dict(offsets.state_dict())
    assert_equal(detector(images), detector_of("direct")(images))


def test_boxes_are_scored_for_suppression_by_f():
    """FC-Conf that prefers a class by its bias changes no scores but which boxes are kept, unless it is constant."""
    detector = make_detector("ebm")
    images = photographs(*SIZES)
    before = detector.detect(images, refine=False)
    with torch.no_grad():
        detector.branch.fc_conf.bias += 100
    assert_equal(detector.detect(images, refine=False), before)
    with torch.no_grad():
        detector.branch.fc_conf.weight.neg_()
    assert not torch.equal(detector.detect(images, refine=False)[0]["boxes"], before[0]["boxes"])


def test_nothing_found_is_no_failure():
    for system in ("direct", "laplace", "ebm"):
        detector = make_detector(system)
        with torch.no_grad():
            detector.base.roi_heads.box_predictor.cls_score.bias[0] = 1e4
        for found in detector(photographs(*SIZES)):
            assert found["boxes"].shape == (0, 4) and not len(found["labels"]) and not len(found["scores"])


@pytest.mark.parametrize("system", ["gaussian", "iou_net_star"])
def test_resnet_detectors(system):
    images = photographs((64, 80), (50, 96))
    detector = make_detector(system, RESNET)
    detector.refinement.iterations = 2
    for found, image in zip(detector(images), images, strict=True):
        assert len(found["boxes"]) > 20
        assert_sound(found, image, exactly_inside=detector.refines)


@pytest.mark.parametrize("system", ["direct", "gaussian", "ebm"])
def test_autocast_does_not_round_boxes(system):
    """Only features are in half precision: in bfloat16, the places of anchors near 120 would be a pixel apart."""
    detector = make_detector(system)
    image = photographs((96, 128))
    exact = detector(image)
    anchors = [anchor.clone() for anchor in detector.base.rpn.anchor_generator.cell_anchors]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = detector(image)[0]
    assert_sound(rounded, image[0], exactly_inside=detector.refines)
    assert all(map(torch.equal, detector.base.rpn.anchor_generator.cell_anchors, anchors))
    assert not torch.equal(rounded["boxes"], rounded["boxes"].bfloat16().float())
    assert_equal(detector(image), exact)


# --- images


@pytest.mark.parametrize("system", ["direct", "iou_net", "ebm"])
@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (3, 300), (2000, 20), (1000, 1001)])
def test_images_of_extreme_sizes(system, size):
    detector = detector_of(system)
    image = torch.rand(3, *size)
    ordinary = photographs((96, 128))
    before = detector(ordinary)
    if 128 * min(size) < max(size) * 1:
        with pytest.raises(ValueError, match="too narrow"):
            detector([image])
    else:
        assert_sound(detector([image])[0], image, exactly_inside=detector.refines)
        for one, of in zip(detector([image, *ordinary]), [image, *ordinary], strict=True):
            assert_sound(one, of, exactly_inside=detector.refines)
    assert_equal(detector(ordinary), before)  # nothing is remembered


def test_images_just_wide_enough():
    """What is refused is what torchvision would scale to no width, and nothing else."""
    detector = Detector(DetectorSettings("direct", BaseSettings(LITE.name, CLASSES, 10, 131))).eval()
    for length in (130, 131, 132, 262, 393, 1000):
        for width in {1, 2, 3, length // 131, length // 131 + 1, -(-length // 131)} - {0}:
            image = torch.rand(3, width, length)
            if int(131 / length * width) < 1 and 10 / width * width > 131 / length * width:
                with pytest.raises(ValueError, match="too narrow"):
                    detector([image])
            else:
                detector([image])


def test_grey_and_bytes_and_other_floats_are_the_same_image():
    for system in ("direct", "ebm"):
        detector = detector_of(system)
        pixels = (255 * photographs((96, 128))[0][:1]).byte()
        expected = detector([pixels.float().expand(3, -1, -1) / 255])
        assert_equal(detector([pixels]), expected)
        assert_equal(detector([pixels.expand(3, -1, -1)]), expected)
        assert_equal(detector([pixels.float() / 255]), expected)
        assert_equal(detector([pixels.double() / 255]), expected, rtol=1e-4, atol=1e-3)
        for one in detector([pixels.half() / 255, (pixels / 255).bfloat16()]):
            assert_sound(one, pixels, exactly_inside=detector.refines)


def test_images_are_left_as_they_are():
    images = photographs((96, 128), (50, 60))
    before = [image.clone() for image in images]
    for system in ("direct", "ebm"):
        given_list = list(images)
        detector_of(system)(given_list)
        assert all(map(torch.equal, given_list, before))


def test_no_images():
    assert all(detector_of(system)([]) == [] for system in SYSTEMS)


GOOD = torch.rand(3, 40, 40)


@pytest.mark.parametrize(
    "image, said",
    [
        (torch.rand(40, 40), r"\(40, 40\)"),
        (torch.rand(1, 3, 40, 40), r"\(1, 3, 40, 40\)"),
        (torch.rand(2, 40, 40), r"\(2, 40, 40\)"),
        (torch.rand(40, 40, 3), r"\(40, 40, 3\)"),
        (torch.rand(3, 0, 40), r"\(3, 0, 40\)"),
        (torch.rand(3, 40, 0), r"\(3, 40, 0\)"),
        (torch.rand(0, 40, 40), r"\(0, 40, 40\)"),
        (torch.randint(0, 255, (3, 40, 40)), "int64"),
        (torch.rand(3, 40, 40) > 0.5, "bool"),
        (torch.full((3, 40, 40), torch.nan), "not finite"),
        (GOOD.clone().index_fill_(2, torch.tensor([7]), -torch.inf), "not finite"),
        (torch.rand(3, 1, 4000), "too narrow"),
        (GOOD.numpy(), "ndarray"),
        ("photo.jpg", "str"),
        (None, "NoneType"),
    ],
    ids=range(15),
)
def test_bad_images_are_refused(image, said):
    for system in ("direct", "ebm"):
        with pytest.raises(ValueError, match=said) as caught:
            detector_of(system)([GOOD, image])
        assert str(caught.value).startswith("image 1 ") and "\n" not in str(caught.value)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        make_detector("ebm").train()(photographs((96, 128)))
