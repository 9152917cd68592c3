"""The benchmarks as a command. What they measure is not asserted, only that it is told."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import timing
from benchmarks.opening import KINDS, make_coco, make_videos
from benchmarks.report import Report
from benchmarks.schedule import Film, lasot_lengths, simulate, simulate_in_given_order
from benchmarks.timing import Table, budget, time_in_turn
from ltr.ops import kernels
from tests.helpers.warm_python import warm_python

REPO = Path(__file__).resolve().parents[1]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess:
    return warm_python("-m", "benchmarks", *arguments, cwd=REPO)


@pytest.mark.kernels
@pytest.mark.skipif(not kernels.FOUND["cpu"].loaded, reason="no CPU kernels to time")
def test_a_table_and_the_same_as_json(tmp_path):
    result = benchmarks("kernels", "--quick", "--json", str(tmp_path / "out.json"))
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["machine"]["torch"] and report["machine"]["cores"] >= 1
    (table,) = report["parts"]["kernels"]
    assert table["title"] in result.stdout and len(table["rows"]) == 18  # 3 sizes, 2 dtypes, 3 passes
    assert "s]   size 128 boxes, dtype float64, what forward, " in result.stderr


@pytest.mark.parametrize(
    "arguments, said", [(["speed"], "no part speed"), (["kernels", "--device", "abacus"], "'abacus' cannot be used")]
)
def test_mistakes_are_named(arguments, said):
    result = benchmarks(*arguments)
    assert result.returncode != 0 and said in result.stderr and "Traceback" not in result.stderr


def test_the_simulation_runs_the_real_scheduling_longest_first():
    films = [Film(f"film{k}", frames, float(frames)) for k, frames in enumerate([1, 2, 3, 4, 5, 6])]
    assert simulate(films, 1, start=0.5) == 21.5
    assert simulate(films, 2, start=0.5) == 11.5  # 6 3 2 and 5 4 1, or 6 3 1 and 5 4 2
    assert simulate(films, 3, start=0.5) == 7.5  # 6 1, 5 2, 4 3
    assert simulate(films, 9, start=0.5) == 6.5
    assert simulate_in_given_order(films, 2, start=0.5) == 12.5  # 1 3 5 and 2 4 6


def test_lengths_with_the_published_statistics():
    lengths = lasot_lengths()
    assert len(lengths) == 280 and min(lengths) == 1000 and max(lengths) == 9999
    assert sum(lengths) / 280 == pytest.approx(2448, abs=1)


@pytest.mark.parametrize("make, kind", [(make_coco, "detection"), (make_coco, "pairs"), (make_videos, "videos")])
def test_made_data_sets_can_be_read(tmp_path, make, kind):
    make(tmp_path / "data", 5)
    _, read, names_of = KINDS[kind]
    assert len(list(names_of(read(tmp_path / "data")))) == 5


class Clock:
    """Stands still, but for what is told to take time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float):
        def work():
            self.now += seconds

        return work


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "clock", clock)
    return clock


def table_of(clock: Clock, rows: int, seconds: float) -> Table:
    table = Table(f"{rows} rows", ["row", "s"])
    for row in table.within_budget(range(rows)):
        timing = time_in_turn({"work": clock.takes(seconds)})["work"]
        table.add([str(row), f"{timing.median:.2f}"], row=row, repeats=timing.repeats)
    return table


def test_repeats_and_rows_fit_the_time(clock, capsys):
    """Whatever the machine: what would take half an hour takes two minutes, and every part has its share."""
    report = Report({}, None)
    makers = {"short": (3, 0.001), "long": (20, 0.5), "slow": (12, 9.0)}
    with budget.within(120):
        report.run({name: lambda of=of: [lambda: table_of(clock, *of)] * 2 for name, of in makers.items()})
    assert clock.now < 120 + 3 * 9
    tables = report.content["parts"]
    assert [len(tables[name]) for name in makers] == [2, 2, 2]
    assert all(row["repeats"] == 15 for row in tables["short"][0]["rows"])  # has what it needs, and leaves the rest
    first = tables["long"][0]
    assert len(first["rows"]) > 5 and first["rows"][0]["repeats"] < 15
    slow = tables["slow"][0]
    assert {row["repeats"] for row in slow["rows"]} == {1}
    assert slow["rows"] and f"since the time was up (--seconds): {len(slow['rows'])};" in slow["notes"][0]


def test_without_a_limit_there_are_all_rows_and_repeats(clock):
    report = Report({}, None)
    report.run({"slow": lambda: [lambda: table_of(clock, 12, 9.0)]})
    (table,) = report.content["parts"]["slow"]
    assert [row["repeats"] for row in table["rows"]] == [15] * 12 and not table["notes"]


def failing(error: BaseException, rows: int = 2) -> Table:
    table = Table("begun", ["row"])
    for row in range(rows):
        table.add([str(row)], row=row)
    raise error


def test_an_error_in_a_table_loses_neither_its_rows_nor_the_others(tmp_path, capsys):
    report = Report({}, tmp_path / "out.json")
    whole = lambda: Table("whole", ["row"], [["9"]], [{"row": 9}])  # noqa: E731
    report.run({
        "first": lambda: [whole, lambda: failing(RuntimeError("CUDA out of memory\nmore")), whole],
        "second": lambda: 1 / 0,
        "third": lambda: [whole()],  # a table that is made
    })  # fmt: skip
    assert report.errors == ["first: RuntimeError: CUDA out of memory", "second: ZeroDivisionError: division by zero"]
    parts = json.loads((tmp_path / "out.json").read_text())["parts"]
    assert [[table["title"] for table in tables] for tables in parts.values()] == [
        ["whole", "begun", "whole"],
        [],
        ["whole"],
    ]
    assert parts["first"][1]["rows"] == [{"row": 0}, {"row": 1}]
    assert parts["first"][1]["notes"] == ["not finished: RuntimeError: CUDA out of memory"]
    said = capsys.readouterr()
    assert said.out.count("whole") == 3 and "not finished" in said.out and "error in second" in said.err


def test_ctrl_c_keeps_the_tables_that_are_made_and_begun(tmp_path, capsys):
    report = Report({}, tmp_path / "out.json")
    with pytest.raises(KeyboardInterrupt):
        report.run({
            "first": lambda: [lambda: Table("whole", ["row"])],
            "second": lambda: [lambda: failing(KeyboardInterrupt())],
        })  # fmt: skip
    parts = json.loads((tmp_path / "out.json").read_text())["parts"]
    assert parts["first"][0]["title"] == "whole" and parts["second"][0]["notes"] == ["not finished: interrupted"]
    assert "begun" in capsys.readouterr().out
