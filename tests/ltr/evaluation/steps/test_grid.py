"""Grids, their best points and edges, and the table of a search."""

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.evaluation.steps.grid import StepGrid, StepSearch
from ltr.evaluation.steps.table import make_table


def search(values, higher=True, before=1.0, **axes):
    return StepSearch(StepGrid.of(**axes), {"all": np.array(values)}, {"all": before}, "score", higher)


def test_a_grid_is_every_combination_of_its_sorted_values():
    grid = StepGrid.of(position=[2, 1, 2], size=[0.5], decay=[1, 0.1])
    assert grid.points() == [(1, 0.5, 0.1), (1, 0.5, 1), (2, 0.5, 0.1), (2, 0.5, 1)] and grid.shape == (2, 1, 2)


@pytest.mark.parametrize(
    "axes, said",
    [
        ({"step": [1.0, 0.0]}, "--step 0: give values that are positive and finite"),
        ({"step": [float("nan"), -2]}, "--step nan -2: give"),
        ({"size": [float("inf")]}, "--size inf: give"),
        ({"decay": [0.5, 1.5]}, r"--decay 1.5: give values that are in \(0, 1\]"),
        ({"position": []}, "--position : give"),
    ],
)
def test_values_out_of_range_are_one_sentence(axes, said):
    with pytest.raises(UserError, match=said):
        StepGrid.of(**axes)


def test_the_best_is_the_highest_or_the_lowest_and_never_nan():
    values = [[3.0, 9.0, np.nan], [1.0, 9.0, 4.0]]
    assert search(values, position=[1, 2], size=[3, 4, 5]).best == {"position": 1, "size": 4}  # the shorter of equals
    assert search(values, False, position=[1, 2], size=[3, 4, 5]).best == {"position": 2, "size": 3}


def test_the_mean_of_the_parts_decides_and_the_choice_of_a_part_is_noted():
    grid = StepGrid.of(position=[1, 2, 3], size=[1, 2, 3])
    parts = {"a": np.zeros((3, 3)), "b": np.zeros((3, 3))}
    parts["a"][0, 1], parts["a"][1, 1], parts["b"][1, 1] = 5.0, 4.0, 6.0
    found = StepSearch(grid, parts, {"a": 1.0, "b": 2.0}, "score", True)
    assert found.best == {"position": 2, "size": 2} and found.edges() == []
    assert make_table(found, "T").notes == [
        "Chosen (*): position 2, size 2: 5.00; before refinement 1.50.",
        "By itself, a prefers position 1, size 2 (5.00, the choice 4.00).",
    ]


def test_edges():
    assert search([1.0, 2, 3], step=[1, 2, 3]).edges() == ["step"]
    assert search([1.0, 3, 2], step=[1, 2, 3]).edges() == []
    assert search([3.0, 3, 2], step=[1, 2, 3]).edges() == ["step"]
    assert search([[5.0], [3.0]], step=[1, 2], decay=[0.5]).edges() == ["step"]  # one value has no edge
    assert search([[1.0, 2.0]], step=[1], decay=[0.5, 0.9]).edges() == ["decay"]
    assert search([[1.0, 2.0]], step=[1], decay=[0.5, 1.0]).edges() == []  # there is nothing beyond 1
    assert any(
        "The best step is at the edge of the grid" in note and "--step" in note
        for note in make_table(search([1.0, 2, 3], step=[1, 2, 3]), "T").notes
    )


def test_a_refinement_that_only_harms_is_said():
    assert "No step of the grid helps" in make_table(search([0.5, 0.2], step=[1, 2]), "T").text()
    assert "No step of the grid helps" in make_table(search([1.5, 1.2], higher=False, step=[1, 2]), "T").text()
    assert "No step of the grid helps" not in make_table(search([1.5, 1.2], step=[1, 2]), "T").text()


def test_the_table_shows_the_plane_of_the_best_decay_and_the_decays_beside_it():
    values = np.arange(12.0).reshape(2, 3, 2)
    values[1, 0, 0] = 50.0  # the best: position 2, size 3, decay 0.2
    table = make_table(search(values, position=[1, 2], size=[3, 4, 5], decay=[0.2, 0.5]), "Title")
    lines = table.text().splitlines()
    assert lines[0] == "Title: score"
    assert lines[1].split() == ["size", "decay"] and lines[6] == "Sizes at decay 0.2; each decay at its best size."
    assert lines[2].split() == ["3", "4", "5", "0.2", "0.5"]
    assert lines[4].split() == ["position", "1", "0.00", "2.00", "4.00", "4.00", "5.00"]
    assert lines[5].split() == ["position", "2", "50.00*", "8.00", "10.00", "50.00*", "11.00"]
    assert r"$\mathbf{50.00}$" in table.latex() and "50.00*" not in table.latex()
