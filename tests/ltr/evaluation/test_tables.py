"""Means, standard errors and tables, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from ltr.evaluation.tables import Mean, Table


def test_mean_and_standard_error():
    """Of 4, 6, 8, 10: mean 7, variance (9 + 1 + 1 + 9) / 3, over 4 runs."""
    mean = Mean.of([4, 6, 8, 10])
    assert mean.value == 7 and mean.error == pytest.approx(math.sqrt(20 / 3 / 4))
    values = np.random.default_rng(0).normal(size=11)
    assert Mean.of(list(values)).error == pytest.approx(values.std(ddof=1) / math.sqrt(11))
    assert Mean.of([3.0]) == Mean(3.0, None)
    with pytest.raises(ValueError):
        Mean.of([])


def example() -> Table:
    table = Table("Title", ["yaw", "runs", "avg"], [("here", 2), ("paper", 1)])
    table.rows = [("A & B", [Mean(12.345, 0.056), "2", Mean(3.0, 0.1)]), ("C", [Mean(1.0), "1", None])]
    table.notes = ["100% of a_b."]
    return table


def test_every_cell_ends_where_its_column_does():
    _, above, header, rule, first, second, note = example().text().splitlines()
    ends = [header.index(name) + len(name) for name in ("yaw", "runs", "avg")]
    cells = [("12.35 ± 0.06", "2", "3.00 ± 0.10"), ("1.00", "1", "-")]
    for line, row in zip((first, second), cells, strict=True):
        assert [line[:end].split("  ")[-1].strip() for end in ends] == list(row)
    assert above.index("here") + 4 == ends[1] and above.index("paper") + 5 == ends[2]
    assert len(rule) == len(header) == len(first) == len(second) and note == "100% of a_b."


def test_latex():
    text = example().latex()
    assert r"A \& B & $12.35 \pm 0.06$ & 2 & $3.00 \pm 0.10$ \\" in text
    assert r"C & $1.00$ & 1 & -- \\" in text
    assert r" & \multicolumn{2}{c}{here} & \multicolumn{1}{c}{paper} \\" in text
    assert "% 100% of a_b." in text and text.count(r"\\") == 4
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_latex_prints_every_character():
    text = Table("Title", ["x < 0"], rows=[("L = 2  {0.1, 1}", [Mean(1.0)])]).latex()
    assert r"\{0.1, 1\}" in text and "x < 0" not in text


def test_without_groups_there_is_one_header():
    table = Table("Title", ["AP", "runs"], rows=[("A", [Mean(1.0), "1"])])
    assert table.text().splitlines()[1].split() == ["AP", "runs"] and len(table.text().splitlines()) == 4
    text = table.latex()
    assert "multicolumn" not in text and text.count(r"\\") == 2
