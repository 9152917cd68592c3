"""Pairs: a pure function of their number, boxes that stay on their target, draws that keep to their settings."""

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ltr.common.errors import UserError
from ltr.data.crops import Crop
from ltr.data.sampling import PATCH, BoxPairs, CropSettings
from tests.helpers.comparing import same
from tests.helpers.painted import Painted

PLAIN = CropSettings(grayscale=0.0, brightness=0.0)
EVERYTHING = CropSettings(grayscale=0.3, flip=0.5, contrast=0.3, blur=0.5, stretch=0.3)


def pairs(crop=PLAIN, lengths=(10, 10, 1), length=10**6, seed=0, scale=1, **options) -> BoxPairs:
    return BoxPairs([Painted(lengths, scale=scale)], [1.0], length, crop=crop, seed=seed, **options)


def test_shapes_and_types():
    item = pairs(EVERYTHING)[0]
    for which in ("reference", "test"):
        image, box = item[f"{which}_image"], item[f"{which}_box"]
        assert image.shape == (3, PATCH, PATCH) and image.dtype == torch.uint8 and image.is_contiguous()
        assert box.shape == (4,) and box.dtype == torch.float32


def test_pair_k_depends_on_k_and_seed_alone():
    data = pairs(EVERYTHING)
    first = [data[k] for k in (0, 1, 2, 999_999)]
    np.random.seed(7)
    torch.manual_seed(7)
    again = pairs(EVERYTHING)
    for k, item in reversed(list(zip((0, 1, 2, 999_999), first, strict=True))):
        assert same(again[k], item)
    assert not same(first[0], first[1])
    assert not same(pairs(EVERYTHING, seed=1)[0], first[0])


def test_workers_see_the_same_pairs():
    data = pairs(EVERYTHING)
    loader = DataLoader(data, batch_sampler=[[3, 4], [17, 5]], num_workers=2)
    for numbers, batch in zip([[3, 4], [17, 5]], loader, strict=True):
        for row, k in enumerate(numbers):
            assert same({name: value[row] for name, value in batch.items()}, data[k])


def painted_box(image: torch.Tensor) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 of the red rectangle in a patch; None where little of it is in view."""
    red = image[0].float()
    mask = red > (red.max() + red.min()) / 2
    rows, columns = torch.nonzero(mask.any(1)).flatten(), torch.nonzero(mask.any(0)).flatten()
    if red.max() < 100 or len(rows) < 5 or len(columns) < 5:
        return None
    return columns[0].item(), rows[0].item(), columns[-1].item() + 1, rows[-1].item() + 1


@pytest.mark.parametrize(
    "crop",
    [
        PLAIN,
        CropSettings(grayscale=0.0, brightness=0.2, contrast=0.2),
        CropSettings(grayscale=0.0, brightness=0.0, flip=1.0),
        CropSettings(grayscale=0.0, brightness=0.0, stretch=0.5),
        CropSettings(grayscale=0.0, brightness=0.0, flip=0.5, stretch=0.5, test_scale_jitter=1.0),
    ],
    ids=["plain", "colours", "flip", "stretch", "all"],
)
@pytest.mark.parametrize("scale", [1, 7])
def test_boxes_stay_on_their_target(crop, scale):
    data, seen = pairs(crop, scale=scale), 0
    for k in range(25):
        item = data[k]
        for which in ("reference", "test"):
            found = painted_box(item[f"{which}_image"])
            if found is None:
                continue
            x, y, w, h = item[f"{which}_box"].tolist()
            # what is outside is cut; the edge of a much enlarged box is known to half a pixel of the image
            expected = np.clip([x, y, x + w, y + h], 0, PATCH)
            np.testing.assert_allclose(found, expected, atol=max(1.5, 0.02 * max(w, h)))
            seen += 1
    assert seen > 30
    assert (max(data.datasets[0].reductions) > 1) == (scale > 1)


def as_whole_images(data: BoxPairs, k: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Patches and boxes of pair k, step by step: images read in full, each step done to the whole of them in turn."""
    rng, c = np.random.default_rng([data.seed, k]), data.crop
    source, index, ids, boxes = data._draw_pair(rng)
    images, boxes = source.frames(index, ids), list(boxes)
    if rng.random() < c.grayscale:
        images = [cv2.cvtColor(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for i in images]
    if rng.random() < c.flip:
        boxes = [np.array([i.shape[1] - b[0] - b[2], *b[1:]]) for i, b in zip(images, boxes, strict=True)]
        images = [np.ascontiguousarray(i[:, ::-1]) for i in images]
    if c.stretch:
        ratio = np.exp(0.5 * c.stretch * rng.standard_normal())
        height, width = images[1].shape[:2]
        new = round(width * ratio), round(height / ratio)
        images[1] = cv2.resize(images[1], new, interpolation=cv2.INTER_LINEAR)
        boxes[1] = boxes[1] * np.tile(np.array(new) / (width, height), 2)
    patches, patch_boxes = [], []
    for image, box, jitter, scale in zip(
        images, boxes, (0.0, c.test_center_jitter), (0.0, c.test_scale_jitter), strict=True
    ):
        size = box[2:] * np.exp(scale * rng.standard_normal(2))
        side = np.sqrt(size.prod())
        center = box[:2] + box[2:] / 2 + side * jitter * rng.uniform(-0.5, 0.5, 2)
        region = Crop.around(tuple(center), side * c.search_area_factor, PATCH)
        patch, gain = region.extract(image).astype(float), rng.uniform(1 - c.brightness, 1 + c.brightness)
        if c.contrast:
            contrast, saturation = rng.uniform(1 - c.contrast, 1 + c.contrast, 2)
            grey = patch.mean(-1, keepdims=True)
            mean = patch.mean()
            patch = mean + contrast * (grey + saturation * (patch - grey) - mean)
        patches.append(np.clip(np.round(patch * gain), 0, 255))
        patch_boxes.append(region.to_patch(box))
    if rng.random() < c.blur:
        patches[1] = cv2.GaussianBlur(patches[1], (0, 0), rng.uniform(0.5, 2.0))
    return patches, patch_boxes


@pytest.mark.parametrize("scale", [1, 7])
@pytest.mark.parametrize("crop", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_one_pass_over_a_patch_does_what_many_over_images_do(crop, scale):
    """Boxes agree to rounding (stretched images had whole pixels), and pixels but for the targets' very edges."""
    data = pairs(crop, scale=scale)
    differences = []
    for k in range(30):
        item = data[k]
        patches, boxes = as_whole_images(data, k)
        for which, patch, box in zip(("reference", "test"), patches, boxes, strict=True):
            np.testing.assert_allclose(item[f"{which}_box"], box, atol=0.5 if crop.stretch else 1e-3)
            difference = np.abs(item[f"{which}_image"].permute(1, 2, 0).numpy() - patch)
            assert np.percentile(difference, 90) <= 2
            differences.append(difference.mean())
    assert np.median(differences) < 0.5


def test_images_are_read_as_small_as_the_patch_allows():
    """Crops of side 5 sqrt(w h) of 288 pixels: the patch never takes less than a pixel of what is read."""
    for scale, allowed in ((1, {1}), (7, {2, 4}), (20, {8})):
        data = Painted([4, 4], scale=scale)
        sampler = BoxPairs([data], [1.0], 100, crop=CropSettings(test_scale_jitter=0.0))
        for k in range(4):
            sampler[k]
        assert set(data.reductions) <= allowed
        boxes = [data.sequence(index).boxes[frame] for index, ids in data.read for frame in ids]
        for box, reduction in zip(boxes, data.reductions, strict=True):
            pixels = 5 * np.sqrt(box[2] * box[3]) / PATCH
            assert reduction <= max(pixels, 1) and (reduction == 8 or pixels < 2 * reduction)


def test_reference_is_centred_and_a_fifth():
    item = pairs()[0]
    x, y, w, h = item["reference_box"].tolist()
    assert (x + w / 2, y + h / 2) == pytest.approx((PATCH / 2, PATCH / 2), abs=1e-3)
    assert (w * h) ** 0.5 == pytest.approx(PATCH / 5, rel=1e-5)


def test_jitter_of_the_test_crop():
    """Offset uniform within +-2.25 crop-target sizes; log of the size with half of 0.5 per axis."""
    data = pairs(lengths=(8,) * 4)
    boxes = torch.stack([data[k]["test_box"] for k in range(160)]).double().numpy()
    side = PATCH / 5
    offset = (boxes[:, :2] + boxes[:, 2:] / 2 - PATCH / 2) / side
    assert np.abs(offset).max() <= 4.5 / 2 + 1e-6
    assert np.abs(offset).mean() == pytest.approx(4.5 / 4, rel=0.12)
    assert abs(offset.mean()) < 0.15
    log_size = np.log(np.sqrt(boxes[:, 2:].prod(1)) / side)
    assert log_size.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.15)
    assert abs(log_size.mean()) < 0.08


def test_stretch_changes_the_shape_of_the_test_box_only():
    data, plain = pairs(CropSettings(grayscale=0.0, stretch=0.5), lengths=(1,)), pairs(lengths=(1,))
    aspect = []
    for k in range(40):
        item = data[k]
        w, h = plain[k]["test_box"][2:].tolist()
        x = item["test_box"][2:].tolist()
        aspect.append(np.log(x[0] / x[1]) - np.log(w / h))
        assert torch.equal(item["reference_box"], plain[k]["reference_box"])
    assert np.std(aspect) == pytest.approx(0.5, rel=0.35)


def test_parts_are_the_same_part_of_a_still_in_both_crops():
    stills = pairs(CropSettings(grayscale=0.0, brightness=0.0, parts=1.0), lengths=(1,), scale=2)
    shares = []
    for k in range(60):
        item, corners = stills[k], []
        for which in ("reference", "test"):
            red = painted_box(item[f"{which}_image"])
            if red is None or min(red[:2]) == 0 or max(red[2:]) == PATCH:  # the whole is not in view
                break
            x, y, w, h = item[f"{which}_box"].numpy()
            corner = (np.array([x, y, x + w, y + h]) - np.tile(red[:2], 2)) / np.tile(np.subtract(red[2:], red[:2]), 2)
            corners.append(corner)
        else:
            np.testing.assert_allclose(*corners, atol=0.06)
            assert corners[0].min() > -0.05 and corners[0].max() < 1.05
            shares.append(corners[0][2:] - corners[0][:2])
    assert len(shares) > 20
    assert 0.3 < np.min(shares) and np.max(shares) < 0.92 and np.std(shares) > 0.08


def test_parts_leave_videos_alone():
    with_parts = pairs(CropSettings(grayscale=0.0, brightness=0.0, parts=1.0), lengths=(10, 10))
    assert same(with_parts[3], pairs(lengths=(10, 10))[3])


def test_gray_takes_the_colour_of_both_images():
    item = pairs(CropSettings(grayscale=1.0))[0]
    for which in ("reference", "test"):
        image = item[f"{which}_image"]
        assert torch.equal(image[0], image[1]) and torch.equal(image[1], image[2])


def test_brightness_differs_between_the_images_of_a_pair():
    data, plain = pairs(CropSettings(grayscale=0.0, brightness=0.2)), pairs()
    gains = []
    for k in range(30):
        item, same_pair = data[k], plain[k]
        gains.append(
            [
                item[f"{w}_image"][1].float().mean() / same_pair[f"{w}_image"][1].float().mean()
                for w in ("reference", "test")
            ]
        )
    gains = np.array(gains)
    assert 0.78 < gains.min() < 0.9 and 1.1 < gains.max() < 1.22
    assert abs(np.corrcoef(gains.T)[0, 1]) < 0.5


def test_gap_is_kept_and_grows_only_where_it_must():
    data = Painted([60])
    sampler = BoxPairs([data], [1.0], 100, max_gap=7, crop=PLAIN)
    gaps = []
    for k in range(60):
        sampler[k]
        ((_, (first, second)),) = data.read[-1:]
        gaps.append(second - first)
    assert 0 not in gaps and min(gaps) < -3 and max(gaps) > 3
    assert np.abs(gaps).max() <= 7

    apart = Painted([60], visible=[[2, 50]])
    sampler = BoxPairs([apart], [1.0], 100, max_gap=7, crop=PLAIN)
    sampler[0]
    assert sorted(apart.read[-1][1]) == [2, 50]


def test_invisible_frames_are_never_chosen():
    visible = [[1, 4, 5, 9], [], [3], [0, 1]]
    data = Painted([10, 10, 10, 2], visible=visible)
    sampler = BoxPairs([data], [1.0], 100, crop=PLAIN)
    for k in range(60):
        sampler[k]
    assert {index for index, _ in data.read} == {0, 3}  # no pair can be made of no frame or one
    for index, ids in data.read:
        assert set(ids) <= set(visible[index])


@pytest.mark.parametrize("data", [Painted([5], visible=[[]]), Painted([5], visible=[[2]]), Painted([1], visible=[[]])])
def test_nothing_visible_is_an_error_that_names_the_set(data):
    with pytest.raises(UserError, match="no visible target.*painted"):
        BoxPairs([data], [1.0], 10)[0]


def test_proportions_and_weights():
    often, seldom, never = Painted([1] * 4, weights=[1, 3, 0, 0]), Painted([1] * 2), Painted([1])
    sampler = BoxPairs([often, seldom, never], [6.0, 2.0, 0.0], 10**6, crop=PLAIN)
    for k in range(160):
        sampler[k]
    assert len(often.read) == pytest.approx(120, abs=22) and len(seldom.read) == pytest.approx(40, abs=22)
    assert not never.read
    counts = np.bincount([index for index, _ in often.read], minlength=4)
    assert counts[1] / counts[:2].sum() == pytest.approx(0.75, abs=0.1)
    assert not counts[2:].any()


@pytest.mark.parametrize("proportions", [[], [1.0], [0.0, 0.0], [-1.0, 2.0], [1.0, float("nan")]])
def test_proportions_that_do_not_fit(proportions):
    with pytest.raises(ValueError, match="proportions"):
        BoxPairs([Painted([1]), Painted([1])], proportions, 10)


def test_a_still_gives_two_views_of_one_image():
    data = Painted([1])
    item = BoxPairs([data], [1.0], 10, crop=PLAIN)[0]
    assert data.read == [(0, [0])]
    assert not torch.equal(item["reference_image"], item["test_image"])


def test_a_still_is_read_for_its_larger_view():
    data = Painted([1], scale=7)
    sampler = BoxPairs([data], [1.0], 100, crop=CropSettings(test_scale_jitter=1.5))
    for k in range(20):
        sampler[k]
    pixels = 5 * np.sqrt(data.sequence(0).boxes[0, 2:].prod()) / PATCH
    assert max(data.reductions) <= pixels and min(data.reductions) == 1
