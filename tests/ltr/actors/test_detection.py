"""A detector's training step: what is trained, each system's loss, and batches that are not as usual."""

import math

import pytest
import torch
from torch import Tensor

from ebm_common import elementwise_iou, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh
from ltr.actors.detection import DetectionActor, DetectionProposalSettings
from ltr.models.detection import SYSTEMS, DetectionRefinementSettings
from ltr.models.detection.confidence import Objects
from ltr.models.detection.faster_rcnn import BaseSettings
from tests.helpers.tiny_detectors import CLASSES, LITE, RESNET, make_detector, photographs

DENSITIES = [name for name in SYSTEMS if name not in ("direct", "iou_net", "iou_net_star", "ebm")]
CONFIDENCES = ["iou_net", "iou_net_star", "ebm"]


def make_actor(system: str, base: BaseSettings = LITE, num_samples: int = 16, **proposals) -> DetectionActor:
    """As the trainer treats it: all but the trainable parameters are frozen."""
    actor = DetectionActor(make_detector(system, base), DetectionProposalSettings(num_samples, **proposals))
    chosen = {id(p) for p in actor.trainable_parameters()}
    for parameter in actor.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    return actor.train()


def make_batch(*sizes: tuple[int, int], objects: int = 2) -> dict:
    """Images of given heights and widths, with objects of any class."""
    targets = []
    for i, (height, width) in enumerate(sizes):
        low = torch.rand(objects, 2) * 0.5
        corners = torch.cat([low, low + 0.15 + 0.3 * torch.rand(objects, 2)], 1)
        boxes = corners * torch.tensor([width, height, width, height])
        targets.append({"boxes": boxes, "labels": 1 + (i + torch.arange(objects)) % (CLASSES - 1)})
    return {"images": [(255 * image).byte() for image in photographs(*sizes)], "targets": targets}


SIZES = (96, 128), (80, 60)


def without_objects(*sizes: tuple[int, int]) -> dict:
    return make_batch(*sizes, objects=0)


# --- what is trained


@pytest.mark.parametrize(
    "system, base",
    [(s, LITE) for s in SYSTEMS if s != "direct"] + [("ebm", RESNET), ("gaussian", RESNET)],
    ids=lambda value: getattr(value, "name", value),
)
def test_all_but_the_branch_stays_as_it_is(system, base):
    actor = make_actor(system, base)
    before = {name: value.clone() for name, value in actor.checkpoint_model().state_dict().items()}
    optimizer = torch.optim.SGD(actor.trainable_parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    for _ in range(3):
        actor.train()
        loss, _ = actor(make_batch(*(SIZES if base is LITE else [(64, 80)])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            actor.eval()(make_batch(SIZES[1]))
    for name, value in actor.checkpoint_model().state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("branch."), name
    assert not any(p.grad is not None for p in actor.detector.base.parameters())


def test_direct_trains_the_detector_but_its_early_layers():
    actor = make_actor("direct")
    before = {name: value.clone() for name, value in actor.checkpoint_model().state_dict().items()}
    optimizer = torch.optim.SGD(actor.trainable_parameters(), lr=1e-3)
    actor(make_batch(*SIZES))[0].backward()
    optimizer.step()
    changed = {n for n, v in actor.checkpoint_model().state_dict().items() if not torch.equal(v, before[n])}
    assert {"base.roi_heads.box_predictor.bbox_pred.weight", "base.rpn.head.cls_logits.weight"} <= changed
    assert "base.backbone.body.blocks.6.0.conv_pw.weight" in changed
    assert not any(".bn" in n or "body.blocks.2." in n or "stem" in n for n in changed)


def test_directs_loss_is_torchvisions():
    actor, batch = make_actor("direct"), make_batch(*SIZES)
    torch.manual_seed(5)
    loss, stats = actor(batch)
    torch.manual_seed(5)
    expected = actor.detector.base([image / 255 for image in batch["images"]], batch["targets"])
    torch.testing.assert_close({name: stats[name] for name in expected}, expected)
    torch.testing.assert_close(loss, sum(expected.values()))


# --- losses


def put_score(actor: DetectionActor, monkeypatch, score) -> None:
    """f as a function of objects and corners (B, M, 4), with a graph."""
    anchor = next(actor.detector.branch.parameters())
    monkeypatch.setattr(actor.detector.branch, "score", lambda o, boxes: score(o, boxes) + 0 * anchor.sum())


def scaled_boxes(actor: DetectionActor, batch: dict) -> Tensor:
    images = [image / 255 for image in batch["images"]]
    return torch.cat([t["boxes"] for t in actor.detector.base.transform(images, batch["targets"])[1]])


@pytest.mark.parametrize("system", ["iou_net", "iou_net_star"])
def test_a_branch_that_knows_the_overlap_has_no_loss(system, monkeypatch):
    actor, batch = make_actor(system, num_samples=64), make_batch(*SIZES, objects=3)
    truth = scaled_boxes(actor, batch)
    seen = []

    def score(objects: Objects, boxes: Tensor) -> Tensor:
        assert torch.equal(objects.image, torch.arange(2).repeat_interleave(3))
        assert torch.equal(objects.label, torch.cat([t["labels"] for t in batch["targets"]]))
        iou = elementwise_iou(xyxy_to_xywh(boxes), xyxy_to_xywh(truth)[:, None])
        seen.append(iou)
        return 2 * iou - 1

    put_score(actor, monkeypatch, score)
    loss, stats = actor(batch)
    assert loss < 1e-9 and stats["iou_error"] < 1e-4
    (iou,) = seen
    assert iou.shape == (6, 64)
    if system == "iou_net":
        assert iou.min() > 0.5 - 1e-3 and 0.7 < iou.mean() < 0.8
    else:
        assert iou.min() < 0.5

    put_score(actor, monkeypatch, lambda o, boxes: score(o, boxes) + 0.5)
    assert actor(batch)[0].item() == pytest.approx(0.5 * 0.5**2, rel=1e-3)  # Huber's, below its bend
    put_score(actor, monkeypatch, lambda o, boxes: score(o, boxes) - 3)
    assert actor(batch)[0].item() == pytest.approx(3 - 0.5, rel=1e-3)  # and beyond


def test_the_likelihood_is_that_of_a_density_around_the_truth(monkeypatch):
    """With f = log N(y; truth + d, s^2) + c, the loss tends to the mean of -log N(0; d, s^2), whatever c and the
    images' scales."""
    actor, batch = make_actor("ebm", num_samples=20_000), make_batch(*SIZES, objects=2)
    truth = scaled_boxes(actor, batch)
    size = truth[:, 2:] - truth[:, :2]
    s, d = 0.06, 0.05 * torch.randn(4, 1, 4)  # each object has its own

    def score(objects: Objects, boxes: Tensor) -> Tensor:
        torch.testing.assert_close(objects.size, size)
        own, true = boxes, truth[:, None]
        centre = ((own[..., :2] + own[..., 2:]) - (true[..., :2] + true[..., 2:])) / 2 / size[:, None]
        scale = ((own[..., 2:] - own[..., :2]) / (true[..., 2:] - true[..., :2])).log()
        z = (torch.cat([centre, scale], -1) - d) / s
        return -0.5 * z.square().sum(-1) - 4 * math.log(s * math.sqrt(2 * math.pi)) + 7

    put_score(actor, monkeypatch, score)
    loss, stats = actor(batch)
    expected = 0.5 * (d / s).square().sum().item() / 4 + 4 * math.log(s * math.sqrt(2 * math.pi))
    assert loss.item() == pytest.approx(expected, abs=0.05)
    assert stats["log_z"].item() == pytest.approx(7, abs=0.05)
    assert 1000 < stats["effective_samples"] < 20_000


def test_density_heads_learn_from_as_many_proposals_as_faster_rcnn(monkeypatch):
    """The training's 200 of the small base (2000 of the paper's), validated and tested on 100 (1000)."""
    actor = make_actor("gaussian")
    heads, seen = actor.detector.base.roi_heads, []
    select = heads.select_training_samples
    monkeypatch.setattr(heads, "select_training_samples", lambda p, t: (seen.append(max(map(len, p))), select(p, t))[1])
    monkeypatch.setattr(actor.detector.base.rpn, "nms_thresh", 1.0)  # keep all: random weights find few
    actor(make_batch(*SIZES))
    actor.eval()(make_batch(*SIZES))
    actor.train()(make_batch(*SIZES))
    assert seen[0] == seen[2] == 200 and 0 < seen[1] <= 100


@pytest.mark.parametrize("system", DENSITIES)
def test_a_density_loss_is_shared_by_all_sampled_boxes(system, monkeypatch):
    actor, batch = make_actor(system), make_batch(*SIZES)
    seen = []

    def loss(features: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
        seen.append((features, labels, offsets))
        return 8.0 + 0 * sum(p.sum() for p in actor.detector.branch.parameters())

    monkeypatch.setattr(actor.detector.branch, "loss", loss)
    found, stats = actor(batch)
    ((features, labels, offsets),) = seen
    heads = actor.detector.base.roi_heads
    sampled = sum(heads.fg_bg_sampler.batch_size_per_image for _ in SIZES)
    assert found.item() == pytest.approx(8.0 * len(labels) / sampled) and stats["nll"] == 8
    assert 4 <= len(labels) < sampled / 2 and (labels > 0).all()
    assert features.shape == (len(labels), 256) and offsets.shape == (len(labels), 4)
    assert (offsets == 0).all(1).sum() >= 4  # of the labels themselves, which are proposals in training


@pytest.mark.parametrize("system", ["iou_net", "iou_net_star"])
def test_loss_is_the_mean_over_objects_of_images_of_any_size(system):
    """Two images at once, or one by one: the same, but for other candidates."""
    actor = make_actor(system, num_samples=2000)
    with torch.no_grad():
        actor.detector.branch.fc_conf.weight *= 5
    batch = make_batch((96, 128), (40, 128), objects=2)
    both = actor(batch)[0].item()
    parts = [actor({key: value[i : i + 1] for key, value in batch.items()})[0].item() for i in range(2)]
    assert both == pytest.approx(sum(parts) / 2, rel=0.1)
    assert abs(parts[0] - parts[1]) > 1e-3


def test_learning_one_batch_helps_refinement():
    actor = make_actor("ebm", num_samples=64)
    torch.nn.init.normal_(actor.detector.branch.fc_conf.weight, std=0.001)
    actor.detector.refinement = DetectionRefinementSettings((0.001, 0.004), 0.5, 10)
    batch = make_batch((96, 128), objects=3)
    optimizer = torch.optim.SGD(actor.trainable_parameters(), lr=1e-3, momentum=0.9)
    losses = []
    for _ in range(50):
        loss, _ = actor.train()(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(actor.trainable_parameters(), 10.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    with torch.no_grad():
        stats = [actor.eval()(batch)[1] for _ in range(5)]
    start, refined = (sum(s[name].item() for s in stats) / 5 for name in ("start_iou", "refined_iou"))
    assert 0.6 < start < 0.9 and refined > start + 0.02


# --- batches that are not as usual


def statistics(actor: DetectionActor, batch: dict) -> dict[str, Tensor]:
    with torch.set_grad_enabled(actor.training):
        loss, stats = actor(batch)
    assert loss.shape == () and torch.isfinite(loss) and loss.requires_grad == actor.training
    assert stats["loss"] == loss
    for name, value in stats.items():
        assert value.shape == () and not value.requires_grad, name
    return stats


@pytest.mark.parametrize("system", SYSTEMS)
def test_statistics_have_the_same_names_for_every_batch(system):
    """The trainer averages them over parts and processes by name."""
    actor = make_actor(system)
    mixed = make_batch(*SIZES)
    mixed["targets"][0] = without_objects(SIZES[0])["targets"][0]
    batches = [make_batch(*SIZES), mixed, without_objects(*SIZES), make_batch((3, 300), (200, 4), objects=1)]
    for training in (True, False):
        actor.train(training)
        names = [list(statistics(actor, batch)) for batch in batches]
        assert all(each == names[0] for each in names)
        if system in CONFIDENCES:
            assert ("refined_iou" in names[0]) == (not training)


@pytest.mark.parametrize("system", [*DENSITIES, *CONFIDENCES])
def test_a_batch_without_objects_teaches_nothing(system):
    actor = make_actor(system)
    loss, stats = actor(without_objects(*SIZES))
    assert loss == 0 and stats["loss"] == 0
    loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in actor.trainable_parameters())
    assert actor.eval()(without_objects(*SIZES))[0] == 0


@pytest.mark.parametrize("system", ["gaussian", "cvae"])
def test_images_without_proposals_and_objects_teach_nothing(system, monkeypatch):
    actor = make_actor(system)
    monkeypatch.setattr(actor.detector.base.rpn, "forward", lambda *_: ([torch.zeros(0, 4)] * 2, {}))
    assert actor(without_objects(*SIZES))[0] == 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_images_of_extreme_shapes_can_be_learnt_from(system):
    batch = make_batch((1, 1), (2, 200), (300, 4), objects=1)
    loss, _ = make_actor(system)(batch)
    assert torch.isfinite(loss)
    loss.backward()


@pytest.mark.parametrize("system", SYSTEMS)
def test_autocast_leaves_boxes_alone(system, monkeypatch):
    actor, batch = make_actor(system), make_batch(*SIZES)
    seen = []
    base = actor.detector.base

    def watch(module: torch.nn.Module, name: str) -> None:
        original = getattr(module, name)

        def watched(*args):
            result = original(*args)
            seen.extend(result[0])
            return result

        monkeypatch.setattr(module, name, watched)

    watch(base.rpn, "forward")
    watch(base.roi_heads, "select_training_samples")
    torch.manual_seed(6)
    expected, _ = actor(batch)
    for training in (True, False):
        torch.manual_seed(6)
        with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(training):
            loss, stats = actor.train(training)(batch)
        assert loss.dtype == torch.float32 and torch.isfinite(loss)
        if system in CONFIDENCES:
            assert loss.item() == pytest.approx(expected.item(), rel=0.05, abs=0.02)
    assert all(boxes.dtype == torch.float32 for boxes in seen)
    assert len(seen) == (0 if system in CONFIDENCES else 12)
    assert all(anchors.dtype == torch.float32 for anchors in base.rpn.anchor_generator.cell_anchors)


# --- validation


@pytest.mark.parametrize("system", CONFIDENCES)
def test_validation_climbs_towards_the_energys_maximum_and_not_the_labels(system, monkeypatch):
    batch = make_batch((96, 128), (120, 90), objects=8)
    actor = make_actor(system).eval()
    actor.detector.refinement = DetectionRefinementSettings((0.3, 0.3) if system != "iou_net" else (5.0, 5.0), 0.5, 10)
    truth = scaled_boxes(actor, batch)
    size = (truth[:, 2:] - truth[:, :2]).repeat(1, 2)
    for shift, better in ((0.0, True), (0.4, False)):
        aim = truth + shift * size * torch.tensor([1.0, 0, 1, 0])
        put_score(actor, monkeypatch, lambda o, b, aim=aim: -((b - aim[:, None]) / size[:, None]).square().sum(-1))
        with torch.no_grad():
            _, stats = actor(batch)
        assert 0.6 < stats["start_iou"] < 0.9
        assert (stats["refined_iou"] > stats["start_iou"] + 0.05) == better
    assert stats["refined_iou"] < stats["start_iou"] - 0.05
    actor.detector.refinement.iterations = 0
    with torch.no_grad():
        _, stats = actor(batch)
    torch.testing.assert_close(stats["refined_iou"], stats["start_iou"])


def test_proposals_that_are_not_possible():
    detector = make_detector("ebm")
    for settings, said in (
        (DetectionProposalSettings(0), "num_samples"),
        (DetectionProposalSettings(min_iou=0.0), "min_iou"),
        (DetectionProposalSettings(min_iou=1.0), "min_iou"),
        (DetectionProposalSettings(sigmas=()), "sigmas"),
        (DetectionProposalSettings(sigmas=(0.1, -1.0)), "sigmas"),
    ):
        with pytest.raises(ValueError, match=said):
            DetectionActor(detector, settings)


def test_candidates_are_the_papers_mixture(monkeypatch):
    """Eq. 5 in the relative parametrisation of each label, the label itself first and apart."""
    actor, batch = make_actor("ebm", num_samples=20_000, sigmas=(0.05, 0.2)), make_batch((96, 128), objects=2)
    truth = xyxy_to_xywh(scaled_boxes(actor, batch))
    seen = []

    def energy(objects: Objects, y: Tensor) -> Tensor:
        seen.append(y)
        return 0 * y.sum(-1) + 0 * next(actor.detector.branch.parameters()).sum()

    monkeypatch.setattr(actor.detector.branch, "energy", energy)
    actor(batch)
    (y,) = seen
    assert y.shape == (2, 20_001, 4)
    torch.testing.assert_close(rel_to_rect(y[:, 0], truth[:, 2:]), truth)
    assert torch.isfinite(xywh_to_xyxy(rel_to_rect(y, truth[:, None, 2:]))).all()
    noise = y[:, 1:] - y[:, :1]
    expected = math.sqrt((0.05**2 + 0.2**2) / 2)
    torch.testing.assert_close(noise.std(1), torch.full((2, 4), expected), rtol=0.03, atol=0)
