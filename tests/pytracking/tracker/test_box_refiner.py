"""Refinement and density with energies whose maximum is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ebm_common import rect_to_rel, rel_to_rect
from ltr.data.crops import Crop
from ltr.models.backbone import STRIDES
from ltr.models.bbreg import BoxFeatures
from pytracking.tracker.atom.refinement import BoxRefiner
from pytracking.tracker.atom.settings import TrackerDensitySettings, TrackerRefinementSettings

CROP = Crop(x=30.0, y=-20.0, size=576.0, output=288)  # two image pixels a patch pixel
START = np.array([200.0, 150.0, 100.0, 120.0])
TARGET = np.array([212.0, 141.0, 115.0, 104.0])


class QuadraticHead:
    """f(y) = -sharpness/2 |y - y*|^2 in the relative space; in pixels, of boxes divided by the target's size."""

    def __init__(self, target: np.ndarray = TARGET, sharpness: float = 1.0):
        self.target = torch.from_numpy(CROP.to_patch(target)).float()
        self.sharpness = sharpness

    def encode(self, modulation, features, size):
        return BoxFeatures(features["stride8"], features["stride16"], size)

    def relative_energy(self, features):
        return lambda y: self.energy(features, y)

    def pixel_energy(self, features):
        return lambda boxes: self.score(features, boxes)

    def energy(self, features, y):
        best = rect_to_rel(self.target, features.size[0])
        return -self.sharpness / 2 * (y - best).square().sum(-1)

    def score(self, features, boxes):
        size = self.target[[2, 3, 2, 3]]
        return -self.sharpness / 2 * ((boxes - self.target) / size).square().sum(-1)


def refiner(head=None, seed=0, first_size=START[2:], **settings) -> BoxRefiner:
    s = replace(TrackerRefinementSettings(space="relative", iterations=10, step=(0.5, 0.5)), **settings)
    return BoxRefiner(head or QuadraticHead(), None, s, torch.Generator().manual_seed(seed), first_size)


def encoded(refiner: BoxRefiner, box: np.ndarray = START):
    return refiner.encode(dict.fromkeys(STRIDES, torch.zeros(1, 1, 36, 36)), CROP, box)


def refine(refiner: BoxRefiner, box: np.ndarray = START):
    return refiner.refine(encoded(refiner, box), CROP, box)


@pytest.mark.parametrize(
    "sharpness, settings",
    [(1, {"space": "relative", "step": (0.5, 0.5)}), (30, {"space": "pixel", "iterations": 20, "step": (1.0, 1.0)})],
    ids=["relative", "pixel"],
)
def test_refinement_climbs_to_the_maximum(sharpness, settings):
    r = refiner(QuadraticHead(sharpness=sharpness), **settings)
    result = refine(r)
    np.testing.assert_allclose(result.box, TARGET, atol=1.0)
    assert result.box.dtype == np.float64
    assert result.score == pytest.approx(0, abs=1e-3)
    assert len(result.starts) == len(result.ends) == r.settings.starts
    np.testing.assert_allclose(result.starts[0], START, atol=1e-3)
    assert np.abs(result.ends - TARGET).max() < np.abs(result.starts - TARGET).max()


def test_steps_of_the_relative_space_are_taken_in_it():
    result = refine(refiner(iterations=1, step=(0.25, 0.75), starts=1))
    size = torch.from_numpy(START[2:])
    start, target = (rect_to_rel(torch.from_numpy(b), size) for b in (START, TARGET))
    expected = start + torch.tensor([0.25, 0.25, 0.75, 0.75]) * (target - start)
    np.testing.assert_allclose(result.box, rel_to_rect(expected, size), rtol=1e-4)


def test_steps_in_pixels_are_scaled_by_the_box():
    result = refine(refiner(space="pixel", iterations=1, step=(1.0, 0.5), starts=1))
    start, target = CROP.to_patch(START), CROP.to_patch(TARGET)
    gradient = (target - start) / target[[2, 3, 2, 3]] ** 2
    expected = start + [1, 1, 0.5, 0.5] * gradient * start[[2, 3, 2, 3]]
    np.testing.assert_allclose(result.box, CROP.to_image(expected), rtol=1e-5)


def test_random_starts_stay_within_the_stated_noise_and_follow_the_seed():
    box = np.array([100.0, 100.0, 30.0, 120.0])
    settings = {"iterations": 0, "starts": 400, "position_noise": 0.2, "size_noise": 1.5}
    starts, again, other = (refine(refiner(seed=s, **settings), box).starts for s in (1, 1, 2))
    np.testing.assert_array_equal(starts, again)
    assert not np.array_equal(starts, other)
    np.testing.assert_allclose(starts[0], box, atol=1e-3)
    side = 60.0
    centers = starts[:, :2] + starts[:, 2:] / 2 - (box[:2] + box[2:] / 2)
    assert 0.09 * side < np.abs(centers).max() <= 0.1 * side + 1e-3
    assert starts[:, 2:].min() == pytest.approx(10, abs=1e-3)  # a third of the shorter side
    assert 0.7 * side < (starts[:, 2:] - box[2:]).max() <= 0.75 * side + 1e-3


def test_the_output_is_the_mean_of_the_best():
    r = refiner(iterations=0, starts=20, best=3)
    result = refine(r)
    size = encoded(r).size
    f = QuadraticHead().energy(encoded(r), rect_to_rel(torch.from_numpy(CROP.to_patch(result.starts)).to(size), size))
    best = f.topk(3)
    np.testing.assert_allclose(result.box, result.starts[best.indices].mean(0), rtol=1e-5)
    assert result.score == pytest.approx(float(best.values.mean()), rel=1e-4)
    assert refine(refiner(iterations=0, starts=2, best=3)) is not None  # fewer than three


def test_boxes_of_an_unlikely_shape_are_dropped():
    flat = np.array([200.0, 150.0, 350.0, 50.0])
    assert refine(refiner(iterations=0, size_noise=0.0, max_aspect_ratio=6.0), flat) is None
    assert refine(refiner(iterations=0, size_noise=0.0, max_aspect_ratio=8.0), flat) is not None
    # Some starts are narrow enough, others are not: only the former count.
    mixed = refine(refiner(iterations=0, starts=60, max_aspect_ratio=6.0, best=60), flat)
    ratio = mixed.ends[:, 2] / mixed.ends[:, 3]
    assert ratio.min() < 6 < ratio.max()
    np.testing.assert_allclose(mixed.box, mixed.ends[ratio < 6].mean(0), rtol=1e-4)


@pytest.mark.parametrize("size", [(200, 16), (16, 200), (300, 8)])
def test_a_long_thin_target_is_refined_to_its_own_shape(size):
    pole = np.array([100.0, 80.0, *size])
    result = refine(refiner(QuadraticHead(pole), first_size=pole[2:]), pole + (4, 2, 0, 0))
    np.testing.assert_allclose(result.box, pole, atol=1.5)


@pytest.mark.parametrize("ratio, bound", [(1, 6), (4.5, 6), (1 / 4.5, 6), (4.6, 9.2), (12.5, 25), (1 / 12.5, 25)])
def test_only_for_a_long_first_box_longer_ones_are_kept(ratio, bound):
    box = refiner(first_size=np.array([20.0 * ratio, 20.0]))
    assert box.max_aspect_ratio == pytest.approx(bound)
    assert refiner(first_size=np.array([20.0 * ratio, 20.0]), max_aspect_ratio=1e3).max_aspect_ratio == 1e3


def test_an_energy_that_breaks_down_leaves_the_boxes_where_they_were():
    class Broken(QuadraticHead):
        def energy(self, features, y):
            return super().energy(features, y) * torch.nan

    result = refine(refiner(Broken()))
    assert result is None or np.isfinite(result.box).all()


def density(target: np.ndarray, cells: int = 60, sharpness: float = 200.0):
    r = refiner(QuadraticHead(target, sharpness))
    return r.density(encoded(r), CROP, START, TrackerDensitySettings(cells, 64)).corner


def test_the_density_is_normalised_over_its_window():
    d = density(TARGET)
    cell = (d.x[1] - d.x[0]) * (d.y[1] - d.y[0])
    assert np.exp(d.log_density).sum() * cell == pytest.approx(1, abs=1e-4)
    assert d.log_density.shape == (len(d.y), len(d.x)) == (60, 60)


def test_the_corner_moves_about_the_box_while_the_opposite_one_stays():
    d = density(TARGET)
    x, y, w, h = START
    assert d.anchor == pytest.approx((x, y + h))
    assert (d.x[0] + d.x[-1]) / 2 == pytest.approx(x + w, abs=1e-3)
    assert (d.y[0] + d.y[-1]) / 2 == pytest.approx(y, abs=1e-3)
    # Figure S2's plane: of all boxes with this bottom-left corner, the density is highest at the best one.
    anchored = np.array([x, y - 15.0, w + 12.0, h + 15.0])
    d = density(anchored)
    row, column = np.unravel_index(d.log_density.argmax(), d.log_density.shape)
    cell = d.x[1] - d.x[0]
    assert d.x[column] == pytest.approx(x + w + 12, abs=cell)
    assert d.y[row] == pytest.approx(y - 15, abs=cell)


def test_the_density_is_that_of_the_energy():
    d, head = density(TARGET, cells=12, sharpness=20.0), QuadraticHead(TARGET, 20.0)
    x, bottom = START[0], START[1] + START[3]
    corners = [(0, 3), (5, 6), (2, 11)]
    boxes = np.array([[x, d.y[r], d.x[c] - x, bottom - d.y[r]] for r, c in corners])
    size = torch.from_numpy(CROP.to_patch(START)).float()[None, 2:]
    f = head.energy(BoxFeatures(None, None, size), rect_to_rel(torch.from_numpy(CROP.to_patch(boxes)).float(), size))
    found = np.array([d.log_density[r, c] for r, c in corners])
    np.testing.assert_allclose(found - found[0], (f - f[0]).numpy(), atol=1e-3)


def test_boxes_that_are_inside_out_have_no_density():
    class Narrow(QuadraticHead):
        def energy(self, features, y):
            assert y.isfinite().all()
            return super().energy(features, y)

    r = refiner(Narrow())
    box = np.array([200.0, 150.0, 100.0, 120.0])
    d = r.density(encoded(r), CROP, box, TrackerDensitySettings(20, 64)).corner
    assert np.array_equal(np.isfinite(d.log_density), (d.x[None] > 200) & (d.y[:, None] < 270))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_density_as_data_is_that_of_exact_draws(temperature):
    """p(y | x) is normal in the relative space, so boxes can be drawn from it."""
    sharpness = 400.0
    r = refiner(QuadraticHead(TARGET, sharpness))
    d = r.density(encoded(r), CROP, START, TrackerDensitySettings(8, 20_000, (0.05, 0.2), temperature))
    assert d.effective_sample_size > 3000
    rng = np.random.default_rng(0)
    size = START[2:]
    scale = np.sqrt(temperature / sharpness)
    center = TARGET[:2] + TARGET[2:] / 2 + scale * size * rng.standard_normal((100_000, 2))
    wh = TARGET[2:] * np.exp(scale * rng.standard_normal((100_000, 2)))
    draws = np.concatenate([center - wh / 2, wh], axis=1)
    sides = np.concatenate([draws[:, :2], draws[:, :2] + wh], axis=1)
    deviation = draws.std(axis=0)
    np.testing.assert_allclose((d.mean() - draws.mean(axis=0)) / deviation, 0, atol=0.06)
    np.testing.assert_allclose(d.covariance() / np.outer(deviation, deviation), np.corrcoef(draws.T), atol=0.07)
    for level in (0.5, 0.95):
        expected = np.quantile(sides, [(1 - level) / 2, (1 + level) / 2], axis=0).T
        np.testing.assert_allclose((d.intervals(level) - expected) / sides.std(axis=0)[:, None], 0, atol=0.12)
    np.testing.assert_allclose(d.interval("width", 0.95), TARGET[2] * np.exp([-1.96 * scale, 1.96 * scale]), rtol=0.02)
    # Levels and distribution functions of true draws are uniform.
    levels = np.array([d.level(box) for box in draws[:400]])
    cdf = np.array([d.cdf(box) for box in draws[:400]])
    for share in (0.2, 0.5, 0.8):
        assert np.mean(levels < share) == pytest.approx(share, abs=0.08)
        np.testing.assert_allclose((cdf < share).mean(axis=0), share, atol=0.08)
    positions, density = d.marginal("height")
    histogram, edges = np.histogram(draws[:, 3], bins=40, range=(positions[0], positions[-1]), density=True)
    found = np.interp((edges[1:] + edges[:-1]) / 2, positions, density)
    assert np.abs(found - histogram).max() < 0.12 * histogram.max()


def test_looking_at_the_density_leaves_the_random_starts_as_they_were():
    looked, plain = refiner(), refiner()
    looked.density(encoded(looked), CROP, START, TrackerDensitySettings(4, 16))
    np.testing.assert_array_equal(refine(looked).starts, refine(plain).starts)


@pytest.mark.parametrize("space", ["relative", "pixel"])
def test_the_path_leads_from_starts_to_ends_and_changes_nothing(space):
    settings = {"space": space, "step": (0.2, 0.2), "iterations": 5}
    plain, r = refine(refiner(**settings)), refiner(**settings)
    result = r.refine(encoded(r), CROP, START, path=True)
    np.testing.assert_array_equal(result.box, plain.box)
    assert plain.path is None
    assert result.path.shape == (6, 10, 4) and result.path_scores.shape == (5, 10)
    np.testing.assert_allclose(result.path[0], result.starts, atol=1e-4)
    np.testing.assert_allclose(result.path[-1], result.ends, atol=1e-4)
    np.testing.assert_allclose(result.path_scores[-1], result.scores, atol=1e-5)
    assert (np.diff(result.path_scores, axis=0) >= 0).all()  # small steps on a quadratic always climb
    np.testing.assert_allclose(result.path[-1][result.best].mean(0), result.box, atol=1e-4)


def test_no_step_has_a_path_of_one_place():
    r = refiner(iterations=0)
    result = r.refine(encoded(r), CROP, START, path=True)
    assert result.path.shape == (1, 10, 4) and result.path_scores.shape == (0, 10)
