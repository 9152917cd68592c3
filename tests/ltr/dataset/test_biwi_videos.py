"""Videos of BIWI in a file that does not name them."""

import numpy as np
import pytest

from ltr.dataset.biwi_videos import BIWI_LENGTHS, find_biwi_videos
from tests.helpers.faces import turning_heads


def names(videos, more=()):
    return [f"{number:02}" for number in videos for _ in range(BIWI_LENGTHS[number - 1] + (number in more))]


@pytest.mark.parametrize("number, more", [(16, ()), (16, (9, 10)), (8, ())])
def test_whole_videos_are_found(number, more):
    rng = np.random.default_rng(3)
    for _ in range(3):
        videos = sorted(rng.permutation(24)[:number] + 1)
        longer = [video for video in videos if video in more][:1]
        found = find_biwi_videos(turning_heads(videos, rng, longer))
        assert found is not None
        assert np.mean(np.array(found) == names(videos, longer)) > 0.999  # a joint may lie a row beside its place


def test_what_is_no_whole_video_has_no_names():
    rng = np.random.default_rng(0)
    poses = turning_heads([1, 5, 7], rng)
    assert find_biwi_videos(poses[:-7]) is None and find_biwi_videos(poses[:3]) is None
    assert find_biwi_videos(rng.permutation(poses)) is None  # frames in no order


@pytest.mark.data
def test_poses_of_biwi(shared_data):
    """The real poses, split like FSA-Net's files: 16 random videos of 24."""
    folder = shared_data / "biwi" / "db_annotations"
    videos = []
    for number in range(1, 25):
        files = sorted((folder / f"{number:02}").glob("*.bin"))
        videos.append(np.array([np.fromfile(file, "<f4")[3:] for file in files]))
    assert tuple(map(len, videos)) == BIWI_LENGTHS
    rng = np.random.default_rng(0)
    for _ in range(10):
        chosen = sorted(rng.permutation(24)[:16] + 1)
        assert find_biwi_videos(np.concatenate([videos[number - 1] for number in chosen])) == names(chosen)
