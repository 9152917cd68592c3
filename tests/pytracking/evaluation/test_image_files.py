"""The image files of a sequence in little memory, and like a list of paths all the same."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytracking.evaluation.datasets import TrackingSequence


def sequence(files: list[Path]) -> TrackingSequence:
    return TrackingSequence("mine", files, np.ones((len(files), 4)), "mine")


@pytest.mark.parametrize("folder", [Path("/data/größe"), Path("relative/x"), Path("/"), Path(".")])
def test_files_of_a_folder_are_like_their_list(folder):
    files = [folder / name for name in ("1.jpg", "ä 2.jpg", "日本.png", "\udce4.jpg")]
    frames = sequence(files).frames
    assert frames == files and files == frames and list(frames) == files and len(frames) == 4
    assert frames[-1] == files[-1] and frames[1:3] == files[1:3] and frames + files == files * 2
    assert files[2] in frames and frames != files[:3] and frames != files[::-1]
    assert pickle.loads(pickle.dumps(frames)) == files
    assert replace(sequence(files), origin=1.0).frames == files
    with pytest.raises(IndexError):
        frames[4]


def test_files_of_several_folders_and_none_stay_as_they_are():
    for files in ([], [Path("/a/1.jpg"), Path("/b/2.jpg")], [Path("/a/1.jpg"), Path("/a/b/2.jpg")]):
        assert sequence(files).frames == files


def test_a_long_sequence_is_sent_in_a_few_bytes_an_image():
    files = [Path(f"/data/lasot/bird/bird-1/img/{k:08d}.jpg") for k in range(10_000)]
    frames = sequence(files).frames
    assert len(pickle.dumps(frames)) < 25 * len(files)  # as paths: 75
