"""f of boxes: from which level they are pooled, that each stands alone, and how it depends on the box."""

import pytest
import torch
from torch import nn
from torchvision.ops import MultiScaleRoIAlign

from ebm_common import rect_to_rel
from ltr.models.detection.confidence import ConfidenceBranch, Objects, Pyramid
from ltr.ops import prroi_pool
from tests.helpers.tiny_detectors import CLASSES, LITE, RESNET, make_detector

NAMES = ["0", "1", "2", "3"]
STRIDES = (4, 8, 16, 32)


def maps(images: int, height: int, width: int, channels: int = 3, dtype=torch.float32) -> dict[str, torch.Tensor]:
    """Random maps of images padded to multiples of 32, and one that is not pooled from."""
    height, width = (-(-side // 32) * 32 for side in (height, width))
    shapes = {name: (height // s, width // s) for name, s in zip(NAMES, STRIDES, strict=True)}
    return {name: torch.randn(images, channels, *shape, dtype=dtype) for name, shape in shapes.items()} | {
        "pool": torch.full((images, channels, 1, 1), torch.nan, dtype=dtype)
    }


def constant_maps(images: int, height: int, width: int) -> dict[str, torch.Tensor]:
    found = maps(images, height, width, channels=1)
    return {name: torch.full_like(level, float(i)) for i, (name, level) in enumerate(found.items())}


def inner_boxes(number: int, height: int, width: int) -> torch.Tensor:
    """Corners of all sizes, well inside the maps, where pooling a constant gives that constant."""
    side = torch.exp(torch.empty(number, 2).uniform_(0.5, 7)).clamp(max=torch.tensor([width, height]) - 100.0)
    low = 20 + torch.rand(number, 2) * (torch.tensor([width, height]) - 80 - side)
    return torch.cat([low, low + side], dim=1)


# --- levels


def test_levels_are_those_of_torchvisions_pooler():
    sizes = [(1100, 1333), (1000, 900)]
    features = constant_maps(2, 1100, 1333)
    boxes = [inner_boxes(150, *size) for size in sizes]
    pooler = MultiScaleRoIAlign(NAMES, 7, 2)
    expected = pooler(features, boxes, sizes)[:, 0].mean((1, 2))
    image = torch.arange(2).repeat_interleave(150)
    found = Pyramid(features, NAMES, sizes, 7).pool(torch.cat(boxes), image)[:, 0].mean((1, 2))
    torch.testing.assert_close(found, expected)
    assert expected.round().unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("side, level", [(112, 1), (224, 2), (448, 3)])
def test_levels_at_their_boundaries(side, level):
    sizes = [(800, 1333)]
    features = constant_maps(1, *sizes[0])
    near = side * torch.tensor([1 - 1e-3, 1 - 1e-5, 1.0, 1 + 1e-5])
    boxes = torch.stack([near * 0 + 64, near * 0 + 64, 64 + near, 64 + near], dim=1)
    flat = torch.tensor([[64.0, 64, 64 + 2 * side, 64 + side / 2]])  # of the same area
    boxes = torch.cat([boxes, flat])
    expected = MultiScaleRoIAlign(NAMES, 7, 2)(features, [boxes], sizes)[:, 0].mean((1, 2))
    found = Pyramid(features, NAMES, sizes, 7).pool(boxes, torch.zeros(5, dtype=torch.int64))[:, 0].mean((1, 2))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, torch.tensor([level - 1.0, level - 1, level, level, level]))


@pytest.mark.parametrize("sizes", [[(97, 130), (64, 200), (33, 33)], [(13, 1300)], [(1300, 13)], [(1, 100), (5, 7)]])
def test_pooled_is_prroi_pool_on_the_boxs_level(sizes):
    features = maps(len(sizes), max(s[0] for s in sizes), max(s[1] for s in sizes))
    boxes, image = [], []
    for i, (height, width) in enumerate(sizes):
        corners = torch.rand(40, 2, 2).sort(dim=1).values * torch.tensor([width, height])
        boxes.append(corners.flatten(1))
        image += [i] * 40
    order = torch.randperm(len(image))
    boxes, image = torch.cat(boxes)[order], torch.tensor(image)[order]
    pooled = Pyramid(features, NAMES, sizes, 7).pool(boxes, image)
    for k in range(0, len(boxes), 5):
        area = float((boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]))
        level = sum(area >= side**2 for side in (112, 224, 448))
        roi = torch.cat([image[k : k + 1].float(), boxes[k]])[None]
        expected = prroi_pool(features[NAMES[level]], roi, 7, 1 / STRIDES[level])
        torch.testing.assert_close(pooled[k : k + 1], expected)


def test_nothing_is_pooled_from_no_boxes():
    pooled = Pyramid(maps(1, 64, 64), NAMES, [(64, 64)], 5).pool(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert pooled.shape == (0, 3, 5, 5)


# --- f


class Head(nn.Sequential):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(channels * 9, hidden), nn.Tanh())


@pytest.fixture
def branch() -> ConfidenceBranch:
    torch.manual_seed(1)
    branch = ConfidenceBranch(Head(3, 8), 8, CLASSES).double()
    nn.init.normal_(branch.fc_conf.weight, std=1.0)
    nn.init.normal_(branch.fc_conf.bias)
    return branch


def objects(number: int = 6) -> tuple[Objects, torch.Tensor]:
    """Objects of three images of different sizes, and five candidates of each, y."""
    sizes = [(96, 128), (70, 90), (128, 64)]
    pyramid = Pyramid(maps(3, 128, 128, dtype=torch.float64), NAMES, sizes, 3)
    image = torch.arange(number) % 3
    label = 1 + torch.arange(number) % (CLASSES - 1)
    size = 20 + 30 * torch.rand(number, 2, dtype=torch.float64)
    rect = torch.cat([5 + 25 * torch.rand(number, 2, dtype=torch.float64), size], 1)
    y = rect_to_rel(rect, size)[:, None] + 0.1 * torch.randn(number, 5, 4, dtype=torch.float64)
    return Objects(pyramid, image, label, size), y


def only(given: Objects, rows) -> Objects:
    return Objects(given.pyramid, given.image[rows], given.label[rows], given.size[rows])


def test_energy_is_its_definition(branch):
    given, y = objects()
    found = branch.energy(given, y)
    assert found.shape == (6, 5)
    for b in range(6):
        for m in range(5):
            (cx, cy), (w, h) = y[b, m, :2] * given.size[b], y[b, m, 2:].exp()
            box = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            features = given.pyramid.maps[0][given.image[b] : given.image[b] + 1]
            pooled = prroi_pool(features, box[None, None], 3, 1 / 4)
            f = branch.fc_conf(branch.feat_conf(pooled))[0, given.label[b]]
            torch.testing.assert_close(found[b, m], f)


def test_gradient_in_y(branch):
    given, y = objects(3)
    assert torch.autograd.gradcheck(lambda y: branch.energy(given, y), y.requires_grad_(), eps=1e-6, atol=1e-6)


def test_classes_do_not_matter_to_each_other(branch):
    given, y = objects()
    one = only(given, given.label == 3)
    f = branch.energy(one, y[given.label == 3])
    f.sum().backward()
    of_class = branch.fc_conf.weight.grad.abs().sum(1)
    assert of_class[3] > 0 and not of_class[torch.arange(CLASSES) != 3].any()
    with torch.no_grad():
        branch.fc_conf.weight[torch.arange(CLASSES) != 3] = torch.nan
        assert torch.equal(branch.energy(one, y[given.label == 3]), f)
        branch.fc_conf.bias[3] += 1
        torch.testing.assert_close(branch.energy(one, y[given.label == 3]), f + 1)


def test_candidates_do_not_matter_to_each_other(branch):
    given, y = objects()
    f = branch.energy(given, y)
    changed = y.clone()
    changed[2, 3] += torch.tensor([3.0, -2.0, 1.5, 2.5])  # far out of the image, and of another level
    other = branch.energy(given, changed)
    same = torch.ones(6, 5, dtype=torch.bool)
    same[2, 3] = False
    torch.testing.assert_close(other[same], f[same])
    assert not torch.isclose(other[2, 3], f[2, 3])


def test_objects_of_several_images_are_as_one_by_one(branch):
    given, y = objects()
    f = branch.energy(given, y)
    for b in range(6):
        torch.testing.assert_close(branch.energy(only(given, slice(b, b + 1)), y[b : b + 1]), f[b : b + 1])


def test_no_objects_and_no_candidates(branch):
    given, y = objects()
    f = branch.energy(only(given, slice(0, 0)), y[:0].requires_grad_())
    assert f.shape == (0, 5) and f.requires_grad
    assert branch.energy(given, y[:, :0]).shape == (6, 0)


def test_autocast_rounds_neither_boxes_nor_f(branch):
    branch = branch.float()
    given, y = objects()
    exact = Pyramid({n: m.float() for n, m in zip(NAMES, given.pyramid.maps, strict=True)}, NAMES, [(96, 128)] * 3, 3)
    given, y = Objects(exact, given.image, given.label, given.size.float()), y.float()
    expected = branch.energy(given, y)
    with torch.autocast("cpu", torch.bfloat16):
        found = branch.energy(given, y)
    torch.testing.assert_close(found, expected)


# --- the start


@pytest.mark.parametrize("base", [LITE, RESNET], ids=lambda base: base.name)
def test_start_is_the_papers(base):
    """C.2: Feat-Conf has the weights of Feat-Box, its own from then on, and FC-Conf N(0, 0.001)."""
    torch.manual_seed(2)
    detector = make_detector("direct", base)
    head = detector.base.roi_heads.box_head
    channels = detector.base.roi_heads.box_predictor.cls_score.in_features
    branch = ConfidenceBranch(head, channels, 91)
    weight = branch.fc_conf.weight
    assert weight.shape == (91, channels) and not branch.fc_conf.bias.any()
    assert weight.mean().abs() < 5e-5 and weight.std().item() == pytest.approx(0.001, rel=0.03)

    nn.init.normal_(head.fc6.weight)  # as if other weights were loaded
    branch.start_from(head)
    for mine, its in zip(branch.feat_conf.parameters(), head.parameters(), strict=True):
        assert torch.equal(mine, its) and mine.data_ptr() != its.data_ptr()
    pooled = torch.randn(3, *head.fc6.weight.shape[1:]).view(3, -1, 7, 7)
    assert torch.equal(branch.feat_conf(pooled), head(pooled))
