"""From score maps to positions: the interpolation in closed form, and every branch of the judgement."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pytracking.tracker.atom.localization import gaussian_label, localize
from pytracking.tracker.atom.peaks import fourier_matrix, upsample
from pytracking.tracker.atom.settings import LocalizationSettings

CELLS, OUTPUT, CELL = 18, 288, 16
SETTINGS = LocalizationSettings(not_found=0.25, distractor=0.8, hard_negative=0.5, neighbourhood=2.0, displacement=0.8)
CPU = torch.device("cpu")


def peak(x: float, y: float, height: float = 1.0, sigma: float = 0.9) -> torch.Tensor:
    """A Gaussian score map with its peak at (x, y) patch pixels from the patch's edge."""
    return height * gaussian_label(CELLS, np.array([x, y]) / CELL, np.array([sigma, sigma]), CPU)


def find(scores: torch.Tensor, target: float = 40.0):
    return localize(scores, OUTPUT, np.array([target, target]), SETTINGS)


def upsampled(scores: torch.Tensor) -> torch.Tensor:
    return upsample(scores, *(fourier_matrix(cells, OUTPUT, CPU) for cells in scores.shape))


@pytest.mark.parametrize("cells", [18, 17])
def test_upsampling_is_exact_for_band_limited_maps(cells):
    rng = np.random.default_rng(0)
    waves = [(*rng.integers(0, (cells - 1) // 2 + 1, 2), *rng.uniform(0, 2 * np.pi, 2), rng.normal()) for _ in range(6)]

    def wave(i, j):
        turn = 2 * np.pi / cells
        return sum(a * np.cos(turn * u * i + p) * np.cos(turn * v * j + q) for u, v, p, q, a in waves)

    coarse = torch.from_numpy(wave(*np.mgrid[:cells, :cells])).float()
    i, j = np.mgrid[:OUTPUT, :OUTPUT] * cells / OUTPUT
    np.testing.assert_allclose(upsampled(coarse), wave(i, j), atol=1e-5)


def test_upsampling_keeps_the_values_at_the_cells_whatever_they_are():
    scores = torch.randn(CELLS, CELLS)
    np.testing.assert_allclose(upsampled(scores)[::CELL, ::CELL], scores, atol=1e-5)


@pytest.mark.parametrize("position", [(144, 144), (100.3, 181.7), (152, 136), (40, 250)])
def test_the_peak_of_a_label_is_found_where_the_label_was_centred(position):
    found = find(peak(*position))
    assert found.flag == "normal"
    np.testing.assert_allclose(found.offset, np.array(position) - OUTPUT / 2, atol=1.0)  # a sixteenth of a cell
    assert found.score == pytest.approx(1, abs=0.03)  # a Gaussian is not quite band-limited


def test_a_label_has_a_width_of_its_own_in_each_direction():
    label = gaussian_label(CELLS, np.array([5, 9]), np.array([1.0, 2.0]), CPU)
    assert label.dtype == torch.float32 and label.shape == (CELLS, CELLS)
    assert float(label[9, 5]) == pytest.approx(1)
    assert float(label[9, 6]) == pytest.approx(np.exp(-1 / 2))
    assert float(label[10, 5]) == pytest.approx(np.exp(-1 / 8))


def test_a_low_score_is_no_target():
    assert find(peak(144, 144, 0.9 * SETTINGS.not_found)).flag == "not_found"
    assert find(torch.zeros(CELLS, CELLS)).flag == "not_found"
    assert find(-peak(144, 144)).flag == "not_found"


def test_a_second_peak_within_the_targets_neighbourhood_is_part_of_it():
    scores = torch.maximum(peak(144, 144), peak(184, 144, 0.9))
    assert find(scores, target=70).flag == "normal"
    assert find(scores, target=20).flag == "uncertain"


def test_a_lower_second_peak_is_learnt_as_a_negative():
    found = find(peak(144, 144) + peak(240, 144, 0.65))
    assert found.flag == "hard_negative"
    np.testing.assert_allclose(found.offset, 0, atol=1.5)
    assert find(peak(144, 144) + peak(240, 144, 0.4)).flag == "normal"
    # 0.65 of a peak that is hardly a target is no target itself, and nothing to learn from
    assert find(0.3 * (peak(144, 144) + peak(240, 144, 0.65))).flag == "normal"


def test_of_two_like_peaks_the_one_that_can_be_reached_is_preferred():
    near, far = (164.0, 144.0), (272.0, 144.0)  # 20 and 128 pixels from where the target was; the limit is 115
    higher_near = find(peak(*near) + peak(*far, 0.9))
    assert higher_near.flag == "hard_negative"
    np.testing.assert_allclose(higher_near.offset, (20, 0), atol=1.5)

    higher_far = find(peak(*near, 0.9) + peak(*far))
    assert higher_far.flag == "hard_negative"
    np.testing.assert_allclose(higher_far.offset, (20, 0), atol=1.5)
    assert higher_far.score == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("positions", [((96, 144), (192, 144)), ((24, 80), (264, 80))], ids=["both near", "both far"])
def test_two_like_peaks_as_far_away_as_each_other_are_uncertain(positions):
    first, second = positions
    found = find(peak(*first) + peak(*second, 0.9))
    assert found.flag == "uncertain"
    np.testing.assert_allclose(found.offset, np.array(first) - OUTPUT / 2, atol=2)


def two_alike(near: float, far: float) -> torch.Tensor:
    """A peak of height `near` 20 pixels right of the middle, and one of height `far` 100 pixels left of it."""
    return peak(164, 144, near) + peak(44, 144, far)


def test_the_motion_prior_prefers_the_nearer_of_two_who_look_alike():
    prior = replace(SETTINGS, motion_prior=0.3)
    scores = two_alike(near=0.85, far=0.95)
    np.testing.assert_allclose(find(scores).offset, (-100, 0), atol=1)
    found = localize(scores, OUTPUT, np.array([40.0, 40.0]), prior)
    np.testing.assert_allclose(found.offset, (20, 0), atol=1)
    assert found.score == pytest.approx(0.85 * (1 - 0.3 * (20 / 144) ** 2), abs=0.03)


def test_a_much_better_far_peak_is_taken_all_the_same():
    found = localize(two_alike(0.4, 0.95), OUTPUT, np.array([40.0, 40.0]), replace(SETTINGS, motion_prior=0.3))
    np.testing.assert_allclose(found.offset, (-100, 0), atol=2)


def test_the_motion_prior_takes_no_more_than_its_share_in_a_grown_region():
    scores = gaussian_label(2 * CELLS, np.array([2.0, 3.0]), np.array([0.9, 0.9]), CPU)
    settings = replace(SETTINGS, motion_prior=0.3)
    found = localize(scores, 2 * OUTPUT, np.array([40.0, 40.0]), settings)
    assert found.score == pytest.approx(0.7, abs=0.03) and found.flag == "normal"


def test_offset_and_prior_count_from_the_last_position_wherever_it_is_in_the_patch():
    prior, last = replace(SETTINGS, motion_prior=0.3), np.array([44.0, 144.0])
    found = localize(two_alike(near=0.95, far=0.85), OUTPUT, np.array([40.0, 40.0]), prior, last)
    np.testing.assert_allclose(found.offset, (0, 0), atol=1)  # the one on the left is the nearer one now
    outside = localize(peak(164, 144), OUTPUT, np.array([40.0, 40.0]), prior, np.array([-400.0, 144.0]))
    np.testing.assert_allclose(outside.offset, (564, 0), atol=1)
    assert outside.score == pytest.approx(0.7, abs=0.03) and outside.flag == "normal"
