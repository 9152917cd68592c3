"""A few disturbances of small commands; `python -m tests.kills` has many of real ones, with their worker processes."""

import sys
import time
from dataclasses import dataclass

import pytest

from ltr.commands import train
from ltr.common.errors import cli_main
from ltr.evaluation.trainings import training
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.running import run_dataset
from tests.helpers.evaluation_fakes import FakeSpec, FakeTracker, write_sequence
from tests.kills.killed import Killed, small_files
from tests.kills.processes import WAYS
from tests.kills.workloads import Workload

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found in /proc")


class SlowTracker(FakeTracker):
    def track(self, image, density=False):
        time.sleep(0.001)
        return super().track(image, density)


@dataclass(frozen=True)
class SlowSpec(FakeSpec):
    def make(self):
        return SlowTracker()


def write_sequences(data):
    for name in ("one", "two", "three"):
        write_sequence(data, name, 150)  # boxes that take more room than the record of the run


@cli_main
def track(data, out):
    report = run_dataset(get_dataset(str(data)), SlowSpec(), out)
    print(report.summary())
    return int(bool(report.failed))


def train_toy(data, out):
    training.REPORTS.clear()  # which takes seconds
    sizes = ["--epochs", "3", "--samples_per_epoch", "256", "--val_every", "1", "--loss.num_samples", "16"]
    how = ["--workers", "0", "--checkpoint_minutes", "0", "--device", "cpu", "--workspace", str(out)]
    return train.main(["toy", "ebm", *sizes, *how])


SMALL = {
    "training": Workload(lambda data: None, train_toy, r".*_final\.safetensors"),
    "evaluation": Workload(write_sequences, track, r"[a-z]+(_time)?\.txt"),
}


@pytest.fixture(scope="module", params=SMALL)
def killed(request, tmp_path_factory):
    return Killed(SMALL[request.param], tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("number, way", list(enumerate(WAYS)))
def test_a_command_goes_on_after_any_signal(killed, number, way):
    moment = killed.seconds * (number + 0.5) / len(WAYS)
    ended, problems = killed.disturb(moment, way)
    assert not problems, f"{way} after {moment:.2f} of {killed.seconds:.2f} s, {ended}"


@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_a_full_disk_is_a_sentence_and_the_command_goes_on(killed, share):
    ended, problems = killed.fill(int(share * killed.largest), small_files)
    assert not problems, ended
