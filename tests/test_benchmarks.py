"""The benchmarks as a command. What they measure is not asserted, only that it is told."""

import json
import subprocess
from pathlib import Path

import pytest

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
