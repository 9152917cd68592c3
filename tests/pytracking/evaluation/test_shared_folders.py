"""Several commands on one results folder at once: they share the work, and never mix."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ltr.common.errors import UserError
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.recording import SequenceWriter
from pytracking.evaluation.results import ResultFolder, ResultsError
from pytracking.evaluation.running import run_dataset
from tests.helpers.evaluation_fakes import FakeSpec, write_sequence


@pytest.fixture
def run(tmp_path):
    """Runs the fake tracker over three sequences."""
    for name in ("one", "two", "three"):
        write_sequence(tmp_path / "data", name, 5)

    def run(spec=None, results=tmp_path / "results", **options):
        return run_dataset(get_dataset(str(tmp_path / "data")), spec or FakeSpec(), results, **options)

    return run


def folder_of(tmp_path, spec):
    return ResultFolder(spec.results_folder(tmp_path / "results"), spec.made_with())


def test_a_sequence_that_another_command_runs_is_left_to_it(run, tmp_path):
    folder = folder_of(tmp_path, FakeSpec())
    folder.path.mkdir(parents=True)
    with folder.claimed("two"):
        report = run()
    assert sorted(report.finished) == ["one", "three"]
    assert "another process is running it" in report.failed["two"] and "the same command" in report.failed["two"]
    assert list(run().finished) == ["two"]
    assert [file.name for file in folder.path.glob(".*")] == [".lock"]


def test_what_another_command_has_finished_meanwhile_is_taken(run, tmp_path):
    folder, (sequence, *_) = folder_of(tmp_path, FakeSpec()), get_dataset(str(tmp_path / "data"))
    run()
    with SequenceWriter(folder, sequence, density=False) as writer:
        assert writer.is_finished and writer.finish() == pytest.approx(folder.seconds(sequence.name))
    assert folder.is_finished(sequence)[0]
    with SequenceWriter(folder, sequence, density=False, again=True) as writer:
        assert not writer.is_finished


def test_results_that_are_being_written_are_not_replaced(run, tmp_path):
    run()
    folder = folder_of(tmp_path, FakeSpec())
    with folder.claimed("one"), pytest.raises(UserError, match="another process is writing results"):
        run(FakeSpec(seed=1), overwrite=True)
    assert len(run().skipped) == 3


def test_a_command_whose_folder_was_replaced_adds_nothing(run, tmp_path):
    first = folder_of(tmp_path, FakeSpec())
    first.prepare()
    run(FakeSpec(seed=1))  # the first one has not yet made its tracker
    with pytest.raises(ResultsError, match="seed was 1 and is 0"):
        first.add_record({})
    with pytest.raises(ResultsError, match="another command has begun to fill this folder"), first.claimed("one"):
        pass


def test_commands_at_once_share_the_work(run, tmp_path):
    """Whichever comes first: each sequence is finished by one of them, and what they write is what one alone writes."""
    alone = run(results=tmp_path / "alone").folder
    with ThreadPoolExecutor(4) as pool:
        reports = [future.result() for future in [pool.submit(run) for _ in range(4)]]
    folder = reports[0].folder
    for name in ("one", "two", "three"):
        assert (folder / f"{name}.txt").read_bytes() == (alone / f"{name}.txt").read_bytes()
    assert {file.name for file in folder.iterdir()} == {file.name for file in alone.iterdir()}
    assert all("another process" in cause for report in reports for cause in report.failed.values())
