"""The benchmarks as a command. What they measure is not asserted, only that it is told."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.opening import KINDS, make_coco, make_videos
from benchmarks.schedule import Film, lasot_lengths, simulate, simulate_in_given_order
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
