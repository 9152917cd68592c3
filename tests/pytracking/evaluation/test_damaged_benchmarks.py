"""One sequence that cannot be read is listed with the reason, and the others stay; names whose results would mix."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets import SequenceList, get_dataset
from tests.helpers.benchmark_trees import boxes, rows_text, write_frames


def sequence(root: Path, name: str, count: int = 3) -> Path:
    """A sequence in OTB's layout; returns the annotation's file."""
    write_frames(root / name / "img", range(1, count + 1), 4)
    file = root / name / "groundtruth_rect.txt"
    file.write_text(rows_text(boxes(count)))
    return file


def link_to_nothing(file: Path) -> None:
    file.unlink()
    file.symlink_to("moved_away.txt")


def folder_in_place(file: Path) -> None:
    file.unlink()
    file.mkdir()


def pipe_in_place(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (link_to_nothing, "does not exist"),
        (folder_in_place, "Is a directory"),
        (pipe_in_place, "a pipe"),
        (lambda file: file.write_text(""), "is empty"),
        (lambda file: file.write_text(" \n\n"), "is empty"),
    ],
)
def test_an_annotation_that_cannot_be_read(tmp_path, damage, reason):
    sequence(tmp_path, "good")
    damage(sequence(tmp_path, "bad"))
    dataset = within_seconds(lambda: get_dataset(str(tmp_path)))
    assert [each.name for each in dataset] == ["good"]
    assert reason in str(dataset.problems["bad"]) and "groundtruth_rect.txt" in str(dataset.problems["bad"])


def within_seconds(read) -> SequenceList:
    """What `read` returns; a test must not wait forever for a pipe."""
    found = []
    thread = threading.Thread(target=lambda: found.append(read()), daemon=True)
    thread.start()
    thread.join(20)
    assert found, "it hangs"
    return found[0]


def test_a_sequence_that_was_moved_away(tmp_path):
    sequence(tmp_path, "good")
    (tmp_path / "gone").symlink_to("elsewhere")
    dataset = get_dataset(str(tmp_path))
    assert [each.name for each in dataset] == ["good"]
    assert "No such file" in str(dataset.problems["gone"])


def test_images_that_were_moved_away(tmp_path):
    sequence(tmp_path, "good")
    sequence(tmp_path, "bad")
    (tmp_path / "bad" / "img").rename(tmp_path / "elsewhere")
    (tmp_path / "bad" / "img").symlink_to("nothing")
    dataset = get_dataset(str(tmp_path))
    assert [each.name for each in dataset] == ["good"]
    assert "bad/img" in str(dataset.problems["bad"])


@pytest.mark.parametrize("which", ["bad", "bad/img"])
@pytest.mark.parametrize("name", ["otb", "folder"])
def test_a_folder_without_permission(tmp_path, monkeypatch, which, name):
    """The superuser, who runs tests in containers, may read everything: the refusal is imitated."""
    otb = name == "otb"
    good, bad = ("Deer", "Skiing") if otb else ("good", "bad")
    sequence(tmp_path, good, 71)
    sequence(tmp_path, bad, 81)
    refused, real = tmp_path / which.replace("bad", bad), Path.iterdir

    def iterdir(self):
        if self == refused:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    dataset = get_dataset("otb", root=tmp_path) if otb else get_dataset(str(tmp_path))
    assert [each.name for each in dataset] == [good]
    assert "Permission denied" in str(dataset.problems[bad]) and str(refused) in str(dataset.problems[bad])


@pytest.mark.parametrize("other", ["a_time", "a.partial"])
def test_results_of_two_sequences_do_not_share_a_file(tmp_path, other):
    for name in ("a", "b_time", other):
        sequence(tmp_path, name)
    dataset = get_dataset(str(tmp_path))
    assert [each.name for each in dataset] == ["a", "b_time"]
    assert "results of a; rename" in str(dataset.problems[other])
    with pytest.raises(DatasetError, match="rename"):
        dataset.select([other])


def test_results_of_two_benchmarks_do_not_share_a_file(tmp_path):
    sequence(tmp_path / "one", "a")
    sequence(tmp_path / "two", "a_time")
    with pytest.raises(DatasetError, match="a_time.*results of a"):
        get_dataset(tmp_path / "one", tmp_path / "two")


def test_the_exact_name_is_meant_before_one_that_is_alike(tmp_path):
    for name, count in (("a-b", 2), ("a_b", 3)):
        sequence(tmp_path, name, count)
    dataset = get_dataset(str(tmp_path))
    assert [len(dataset[name]) for name in ("a-b", "a_b")] == [2, 3]
    assert [each.name for each in dataset.select(["a_b", "a-b"])] == ["a_b", "a-b"]
    with pytest.raises(DatasetError, match="a-b or a_b"):
        dataset["a.b"]


def test_an_exact_name_that_cannot_be_run_is_not_replaced_by_another(tmp_path):
    sequence(tmp_path, "a_b")
    sequence(tmp_path, "a-b").write_text("")
    dataset = get_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset["a_b"].ground_truth, boxes(3))
    with pytest.raises(DatasetError, match="is empty"):
        dataset["a-b"]
