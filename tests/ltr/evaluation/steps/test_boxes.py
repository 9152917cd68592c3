"""The search of a box network's steps, on energies whose maximum is known."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ebm_common import elementwise_iou, rect_to_rel
from ltr.actors.held_out_refinement import mean_of_best, random_starts
from ltr.evaluation.steps import boxes
from ltr.evaluation.steps.boxes import BoxClimb, PairMeasuring, batch_count, measure_boxes
from ltr.evaluation.steps.by_workers import Part
from ltr.evaluation.steps.measured import mean_of, measured_log
from ltr.models.bbreg import BoxFeatures

SHARPNESS = torch.tensor([1000.0, 1000.0, 200.0, 200.0])
TRUTHS = torch.tensor([[40.0, 50, 60, 30], [80, 90, 20, 50], [10, 20, 100, 110]]).repeat(4, 1)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, number=3, stop=None):
        self.number, self.stop, self.seen = number, stop, []

    def __len__(self):
        return self.number

    def __getitem__(self, k):
        if k == self.stop:
            raise KeyboardInterrupt
        self.seen.append(k)
        return {"test_box": TRUTHS[k]}


class Head:
    """Relative: f = -SHARPNESS |y - truth|^2 / 2. Pixels: f = x, so that each step moves a box by its width."""

    def __init__(self, net):
        pass

    def relative_energy(self, features):
        truth = rect_to_rel(features.stride8, features.size)[:, None]
        return lambda y: -0.5 * (SHARPNESS * (y - truth).square()).sum(-1)

    def pixel_energy(self, features):
        return lambda y: y[..., 0]


@pytest.fixture
def actor(monkeypatch):
    monkeypatch.setattr(boxes, "FrozenBoxNet", Head)
    net = nn.Linear(1, 1)
    net.bb_regressor = net
    return SimpleNamespace(net=net, encode=lambda batch, size: BoxFeatures(batch["test_box"], batch["test_box"], size))


def measure(actor, points, climb, pairs=None, path=None):
    with measured_log(path, points, {}) as log:
        return mean_of(measure_boxes(actor, pairs or Pairs(), points, climb, log, "pairs"))


def test_the_steps_of_the_closed_form_are_the_best(actor):
    """The step 1 / sharpness is exact; one of twice that mirrors for ever; a longer one throws boxes away."""
    points = [(p, s) for p in (5e-4, 1e-3, 2e-3, 1e-2) for s in (2.5e-3, 5e-3, 1e-2, 10.0)]
    before, values = measure(actor, points, BoxClimb(iterations=4))
    assert points[values.argmax()] == (1e-3, 5e-3) and values.max() == pytest.approx(100, abs=1e-3)
    assert 40 < before < 90 and values[points.index((1e-2, 10.0))] == pytest.approx(0, abs=1)
    half = values[points.index((5e-4, 2.5e-3))]
    assert before < half < 100 and values[points.index((2e-3, 5e-3))] < half  # a sixteenth of the way is left


def test_starts_that_share_an_error_are_worse_and_are_refined_as_well(actor):
    points = [(1e-3, 5e-3)]
    before, _ = measure(actor, points, BoxClimb(), Pairs(12))
    with_error, values = measure(actor, points, BoxClimb(start_error=(0.3, 0.3)), Pairs(12))
    assert with_error < before - 5 and values[0] == pytest.approx(100, abs=1e-3)


def test_pixels_are_climbed_by_steps_in_sides_of_the_box(actor):
    _, values = measure(actor, [(0.01, 7.0), (0.1, 7.0)], BoxClimb("pixel", iterations=3))
    starts = random_starts(TRUTHS[:3], torch.Generator().manual_seed(0))
    for value, step in zip(values, (0.01, 0.1), strict=True):
        ends = starts.clone()
        ends[..., 0] += 3 * step * starts[..., 2]
        wanted = elementwise_iou(mean_of_best(ends, ends[..., 0]), TRUTHS[:3]).mean().item()
        assert value == pytest.approx(100 * wanted, abs=1e-2)


def test_a_stopped_search_goes_on_where_it_was(actor, tmp_path):
    points, climb = [(5e-4, 1e-3), (2e-3, 1e-2)], BoxClimb(iterations=2, start_error=(0.1, 0.1))
    whole = measure(actor, points, climb, Pairs(12))
    with pytest.raises(KeyboardInterrupt):
        measure(actor, points, climb, Pairs(12, stop=9), tmp_path / "log")
    rest = Pairs(12)
    again = measure(actor, points, climb, rest, tmp_path / "log")
    assert rest.seen == [8, 9, 10, 11] and again[0] == whole[0] and (again[1] == whole[1]).all()
    others = Pairs(12)
    measure(actor, [*points, (1.0, 1.0)], climb, others, tmp_path / "log")
    assert others.seen == list(range(12))  # another grid is another search


def test_parts_of_the_pairs_are_the_whole(actor):
    points, pairs = [(1e-3, 5e-3)], Pairs(12)
    with measured_log(None, points, {}) as parts, measured_log(None, points, {}) as whole:
        measuring = PairMeasuring(actor, {"pairs": pairs}, points, BoxClimb())
        for index in (1, 0):
            measuring.measure(parts, Part(index, 2))
        measure_boxes(actor, pairs, points, BoxClimb(), whole, "pairs")
        assert sorted(parts.keys()) == sorted(whole.keys()) and len(whole.keys()) == batch_count({"pairs": pairs})
        assert all(parts[key] == whole[key] for key in whole.keys())
