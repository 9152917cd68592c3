"""Searches whose parts are measured by processes: all is measured once, and what is there is not measured again."""

import os
import signal
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from ltr.common.errors import UserError
from ltr.evaluation.steps.by_workers import Part, measure_by_workers, workers
from ltr.evaluation.steps.measured import Measured, measured_log

ITEMS = [f"item {number}" for number in range(30)]


@dataclass(frozen=True)
class Squares:
    """Measures numbers; one of them can end the process, or fail."""

    worst: str = ""

    def __call__(self):
        return self, None

    def measure(self, log, part):
        for item in part.of(ITEMS):
            if item in log:
                continue
            if item == "item 7" and self.worst == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if item == "item 7" and self.worst == "fails":
                raise UserError("item 7 cannot be read")
            log.append(Measured(item, 1, float(os.getpid()), [float(item.split()[1]) ** 2]))


def test_parts_are_all_and_share_nothing():
    for count in (1, 2, 7, 40):
        found = [item for index in range(count) for item in Part(index, count).of(ITEMS)]
        assert sorted(found) == sorted(ITEMS)


def test_processes_measure_what_is_not_in_the_log(tmp_path):
    with measured_log(tmp_path / "log", [1], {}) as log:
        log.append(Measured("item 3", 1, 0.0, [-1.0]))
        measure_by_workers(Squares(), log, len(ITEMS), "squares", 1)
    with measured_log(tmp_path / "log", [1], {}) as log:  # on disk
        assert log["item 3"].sums == [-1.0]
        others = [item for item in ITEMS if item != "item 3"]
        assert [log[item].sums[0] for item in others] == [float(item.split()[1]) ** 2 for item in others]
        assert os.getpid() not in {log[item].before for item in others}


@pytest.mark.parametrize(("worst", "said"), [("dies", "SIGKILL"), ("fails", "item 7 cannot be read")])
def test_what_was_measured_before_a_failure_is_kept(tmp_path, worst, said):
    with measured_log(tmp_path / "log", [1], {}) as log:
        with pytest.raises(UserError, match=said):
            measure_by_workers(Squares(worst), log, len(ITEMS), "squares", 1)
        assert len(log.keys()) > 20 and "item 7" not in log
        measure_by_workers(Squares(), log, len(ITEMS), "squares", 1)
        assert len(log.keys()) == len(ITEMS)


def test_without_jobs_there_are_no_workers(tmp_path):
    for jobs in (None, 1):
        with workers(SimpleNamespace(cluster=None, jobs=jobs, gpus_per_worker=None), tmp_path) as found:
            assert found is None
    with workers(SimpleNamespace(cluster=None, jobs=3, gpus_per_worker=None), tmp_path) as found:
        assert found.jobs == 3
    lonely = SimpleNamespace(cluster=None, jobs=None, gpus_per_worker=0.5)
    with pytest.raises(UserError, match="give --cluster, too"), workers(lonely, tmp_path):
        pass
