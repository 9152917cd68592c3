import numpy as np
import pytest

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.vot_regions import is_regions, read_regions


def test_codes_rectangles_and_polygons(tmp_path):
    path = tmp_path / "car_001.txt"
    path.write_text(
        "1\n10,20,30,40\n10.5,20,40,20,40,60.5,10.5,60.5\n2\n0\n1.0000\nnan,nan,nan,nan\nm4,5,3,2,1,1,2,2\n"
    )
    assert is_regions(path)
    regions = read_regions(path)
    np.testing.assert_array_equal(regions.codes, [1, -1, -1, 2, 0, 1, -1, -1])
    np.testing.assert_array_equal(regions.boxes[7], [5, 5, 2, 2])  # the mask .X. / .XX of a window of 3 x 2
    np.testing.assert_array_equal(regions.boxes[1:3], [[10, 20, 30, 40], [10.5, 20, 29.5, 40.5]])
    assert np.isnan(regions.boxes[[0, 3, 4, 5, 6]]).all()
    assert regions.restarts == 1


@pytest.mark.parametrize("line", ["3", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,inf,4", "m1,2,-3,4,5", "5;6"])
def test_other_lines_are_named(tmp_path, line):
    path = tmp_path / "car_001.txt"
    path.write_text(f"1\n{line}\n1,2,3,4\n")
    with pytest.raises(DatasetError, match=r"car_001\.txt, line 2: "):
        read_regions(path)


#: By the VOT toolkit 0.7.3: started; rectangle; polygon; a mask of 10 x 8 pixels at (7, 7); failed; not run.
BINARY = bytes.fromhex(
    "01000600000000010000000100002841" + "0000a0410000f041000021420204000000a040000020410000404100"
    "00c0400000a84100006041000040410000904103070007000a00080002000000500000020000000000000000"
)


def test_the_toolkits_binary_form(tmp_path):
    path = tmp_path / "car_001.bin"
    path.write_bytes(BINARY)
    regions = read_regions(path)
    np.testing.assert_array_equal(regions.codes, [1, -1, -1, -1, 2, 0])
    np.testing.assert_array_equal(regions.boxes[1:4], [[10.5, 20, 30, 40.25], [5, 6, 16, 12], [7, 7, 10, 8]])


@pytest.mark.parametrize("content", [b"", BINARY[:-3], b"\x02" + BINARY[1:], BINARY[:6] + b"\x09" + BINARY[7:]])
def test_damaged_binary_files_are_named(tmp_path, content):
    path = tmp_path / "car_001.bin"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"car_001\.bin is damaged at byte \d+, or no file of VOT's toolkit"):
        read_regions(path)


def test_boxes_are_no_regions(tmp_path):
    (tmp_path / "a.txt").write_text("1,2,3,4\n")
    assert not is_regions(tmp_path / "a.txt") and not is_regions(tmp_path / "none.txt")
