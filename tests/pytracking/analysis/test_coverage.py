"""Coverage by the command, of files written by hand, whose shares can be counted."""

import json

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis.coverage import Coverage, SequenceDensities, read_densities
from pytracking.commands.analyse import main


def line(frame, level, cdf=(0.5, 0.5, 0.5, 0.5), truth=(10, 10, 20, 20), box=(10, 10, 20, 20), width=4.0):
    x, y, w, h = box
    sides = [x, y, x + w, y + h]
    return {
        "frame": frame,
        "box": list(box),
        "score": 0.5,
        "flag": "normal",
        "intervals": {"0.95": [[side - width / 2, side + width / 2] for side in sides]},
        "effective_sample_size": 200.0,
        "truth": {"box": list(truth), "level": level, "cdf": list(cdf)},
    }


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    first = {"frame": 0, "box": [10, 10, 20, 20], "score": 1.0, "flag": "normal"}
    file.write_text("".join(json.dumps(each) + "\n" for each in [first, *lines]))


@pytest.fixture
def results(tmp_path):
    """Two sequences of a tracker with densities, and one tracker without; ground truth beside them."""
    for name in ("a", "b"):
        (tmp_path / "truth").mkdir(exist_ok=True)
        for folder in ("truth", "results/atom/ebm", "results/atom/default"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / f"{name}.txt").write_text("10\t10\t20\t20\n" * 5)
    lost = dict(truth=(100, 100, 20, 20), cdf=(1.0, 1.0, 1.0, 1.0))
    write(
        tmp_path / "results/atom/ebm/a_density.jsonl",
        [line(1, 0.1), line(2, 0.6, (0.05, 0.5, 0.5, 0.99)), line(3, 0.9), line(4, 1.0, **lost)],
    )
    write(tmp_path / "results/atom/ebm/b_density.jsonl", [line(k, 0.3) for k in range(1, 5)])
    return tmp_path


def test_shares_are_means_over_sequences(results, capsys):
    options = ["--annotations", str(results / "truth"), "--results", str(results / "results")]
    main(["coverage", *options, "--out", str(results / "out")])
    shown = capsys.readouterr().out
    assert "atom/ebm: 8 frames of 2 sequences" in shown and "atom/default" not in shown
    (report,) = json.loads((results / "out" / "coverage.json").read_text())
    rows = {(row["frames"], row["level"]): row for row in report["rows"]}
    # Boxes of a: 1 of 4 lies within the 50% region, 2 within 80%, 3 within 95%; of b, all. In a, one frame is lost.
    shares = {level: rows["all", level]["coverage"]["box"] for level in (0.5, 0.8, 0.95)}
    assert shares == pytest.approx({0.5: (0.25 + 1) / 2, 0.8: (0.5 + 1) / 2, 0.95: (0.75 + 1) / 2})
    assert rows["on target", 0.5]["coverage"]["box"] == pytest.approx((1 / 3 + 1) / 2)
    assert rows["on target", 0.5]["count"] == 7
    assert rows["all", 0.5]["standard_error"]["box"] == pytest.approx(np.std([0.25, 1], ddof=1) / np.sqrt(2))
    # Sides: cdf 0.05 is outside 80% and inside 95%, 0.99 outside 95%.
    assert rows["on target", 0.8]["coverage"]["left"] == pytest.approx((2 / 3 + 1) / 2)
    assert rows["on target", 0.95]["coverage"]["left"] == 1
    assert rows["on target", 0.95]["coverage"]["bottom"] == pytest.approx((2 / 3 + 1) / 2)
    assert report["sequences"]["b"]["median_relative_width"] == pytest.approx([0.2] * 4)


def test_one_sequence_has_no_spread(results):
    found = read_densities(results / "results/atom/ebm/b_density.jsonl")
    report = Coverage("t", {"b": found}, ())
    assert "±" not in report.table()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["rows"][0]["standard_error"] is None


def test_a_target_that_is_always_lost_is_counted_among_all(results):
    lost = SequenceDensities(np.ones(3), np.ones((3, 4)), np.ones((3, 4)), np.zeros(3), np.full(3, 100.0))
    report = Coverage("t", {"a": lost}, ())
    assert report.on_target() == {}
    assert [row["frames"] for row in report.rows()] == ["all"] * 3


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[1]",
        "[" * 9999,
        f'{{"truth": {{"level": 1{"0" * 400}}}}}',
        '{"frame": 1, "truth": {"level": 0.5}}',
        '{"frame": 1, "truth": 3}',
    ],
)
def test_a_bad_line_is_named(results, bad):
    file = results / "results/atom/ebm/a_density.jsonl"
    file.write_text(file.read_text() + bad + "\n")
    with pytest.raises(UserError, match=r"a_density.jsonl, line 6: not a frame"):
        read_densities(file)


def test_what_has_no_densities_says_how_to_get_them(results, capsys):
    options = ["coverage", "--annotations", str(results / "truth"), "--results", str(results / "results")]
    with pytest.raises(SystemExit, match="2"):
        main([*options, "--trackers", "atom/default"])
    assert "run it with --density" in capsys.readouterr().err
    (results / "results/atom/ebm/b_density.jsonl").unlink()
    main([*options, "--trackers", "atom/ebm"])
    assert "atom/ebm has no densities of b" in capsys.readouterr().err
