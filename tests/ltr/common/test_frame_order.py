"""The order of the images of a folder."""

import random
from pathlib import Path

import pytest

from ltr.common.frame_order import FrameOrderError, find_images, order_frames

HASHES = [
    "9f2c4e01ab77d3580c1e6b2f9a4d8e33",
    "0a1b7790ffee12345dcba98761122334",
    "c3d4e5f60718293a4b5c6d7e8f901234",
] * 4
SHORT = ["9f2c4e01", "0a1b7790", "c3d4e5f6", "77aa21bc", "1234567a"] * 3


def order(names):
    shuffled = list(names)
    random.Random(0).shuffle(shuffled)
    return [file.name for file in order_frames([Path(name) for name in shuffled]).values()]


@pytest.mark.parametrize(
    "names",
    [
        [f"{i}.jpg" for i in range(8, 12)],
        [f"frame_{i:04d}_jpg.rf.{HASHES[i]}.jpg" for i in range(1, 12)],
        [f"frame-{i}_png.rf.Xy{i}zA1bQ9{11 - i}.jpg" for i in range(1, 12)],
        [f"{SHORT[i]}-frame_{i:04d}.jpg" for i in range(5)],
        [f"{i}-{SHORT[i]}.jpg" for i in range(5)],
        [f"123e4567-e89b-12d3-a456-42661417{9000 - i}_{i}.jpg" for i in range(8, 12)],
        [f"frame{i}_cam2.jpg" for i in range(8, 12)],
        [f"cam2_frame{i}.jpg" for i in range(8, 12)],
        [f"{i}_640x480.png" for i in range(8, 12)],
        ["1_640x480.png", "2_320x240.png", "3_800x600.png"],
        [f"img{i}_t{40 * i}.0.jpg" for i in range(1, 30)],
        [f"img{i}_t{0.3 * i:.1f}.jpg" for i in range(1, 30)],
        [f"frame{i}_{random.Random(i).randrange(10**6)}.jpg" for i in range(1, 20)],
        [f"f{i:07d}.jpg" for i in range(8, 12)],
        ["1.jpg", "02.png", "003.JPG", "10.bmp"],  # leading zeros and endings of all kinds
        ["IMG_9.JPG", "img_10.jpg"],
        ["1.jpg", "2.jpg", "7.jpg", "8.jpg"],  # a gap
        ["2024-01-31_23-59-59.jpg", "2024-02-01_00-00-00.jpg", "2024-02-01_00-00-01.jpg"],
        ["20240131_235959.jpg", "20240201_000000.jpg"],
        ["a_00-00-59.jpg", "a_00-01-00.jpg", "a_00-01-01.jpg"],
        ["1311868164.363181.png", "1311868164.399026.png", "1311868165.001.png"],
        ["Screenshot 2024-01-01 at 9.59.59\u202fAM.png", "Screenshot 2024-01-01 at 10.00.01\u202fAM.png"]
        + [f"Screenshot 2024-01-01 at {hour}.05.00\u202fPM.png" for hour in (12, 1, 2)],
        ["1403636579763555584.png", "1403636579813555456.png"],
        [f"t{i * 0.04:.2f}.png" for i in range(60)],
        ["DSC0009.jpg", "IMG_0010.jpg"],
        ["img.png", "img (1).png", "img (2).png", "img (10).png"],
        ["a.png", "b.png", "c.png"],
    ],
)
def test_the_number_of_the_frame_decides_whatever_else_the_name_holds(names):
    assert order(names) == names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["frame1_cam1.jpg", "frame1_cam2.jpg", "frame2_cam1.jpg", "frame2_cam2.jpg"], "two orders are possible"),
        (["cam1_1.jpg", "cam1_2.jpg", "cam2_1.jpg", "cam2_2.jpg"], "or cam1_1.jpg, cam2_1.jpg, cam1_2.jpg, ..."),
        (["cam1.0001.jpg", "cam1.0002.jpg", "cam2.0001.jpg"], "two orders are possible"),
        (["3_1.jpg", "1_2.jpg", "2_3.jpg"], "two orders are possible: 1_2.jpg, 2_3.jpg, 3_1.jpg, or 3_1.jpg, 1_2.jpg"),
        (["8412_frame1.jpg", "1234_frame2.jpg", "5555_frame3.jpg"], "two orders are possible"),
        (["left1.jpg", "left2.jpg", "right1.jpg", "right2.jpg"], "two orders are possible"),
        (["1_colour.png", "1_depth.png", "2_colour.png", "2_depth.png"], "1_colour.png and 1_depth.png have the same"),
        (["0001.png", "0001_mask.png", "0002.png"], "0001.png and 0001_mask.png have the same number"),
        (["1500000000.5.png", "1500000000.123456789.png"], "two orders are possible"),
        (
            [f"{i}.png" for i in range(1, 7)] + ["8.5.png", "8.25.png"],
            "possible: ..., 6.png, 8.5.png, 8.25.png, or ..., 6.png, 8.25.png, 8.5.png",
        ),
        (["t1.9.jpg", "t1.10.jpg", "t1.11.jpg"], "two orders are possible"),
        (["walk_2.jpg", "run_3.jpg"], "two orders are possible"),
        (["1.jpg", "01.jpg"], "01.jpg and 1.jpg have the same number; remove one"),
        (["0001.jpg", "0001.png", "0002.jpg"], "0001.jpg and 0001.png have the same number"),
        ([f"a_1_jpg.rf.{hash}.jpg" for hash in HASHES[:2]], "have the same number"),
        (["cover.jpg", "0001.jpg", "0002.jpg"], "cover.jpg has no number, but 0001.jpg, 0002.jpg have"),
        ([f"{hash}.jpg" for hash in HASHES[:3]], "have no number that says their order"),
    ],
)
def test_two_orders_are_refused_with_both_named(names, words):
    with pytest.raises(FrameOrderError) as error:
        order(names)
    assert words in str(error.value) and "rename" in str(error.value)


def test_the_keys_are_the_numbers_of_the_frames():
    def keys(*names):
        return list(order_frames([Path(name) for name in names]))

    assert keys("0300.jpg", "0301.jpg", "0303.jpg") == [300, 301, 303]
    assert keys("frame7_cam2.jpg", "frame9_cam2.jpg") == [7, 9]
    assert keys("7_640x480.jpg", "8_640x480.jpg") == [7, 8]
    assert keys("a.jpg", "b.jpg") == keys("10-00-00.jpg", "10-00-30.jpg") == [1, 2]
    assert keys("0300.jpg") == [300] and keys("a.jpg") == [1] and keys() == []


def test_hidden_files_and_other_files_are_no_images(tmp_path):
    for name in ("1.jpg", "._1.jpg", ".2.jpg", "2.WEBP", "Thumbs.db", "a.txt"):
        (tmp_path / name).touch()
    assert sorted(file.name for file in find_images(tmp_path)) == ["1.jpg", "2.WEBP"]
