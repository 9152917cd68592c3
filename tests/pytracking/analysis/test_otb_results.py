"""Files as OTB's toolkit writes them."""

import numpy as np
import pytest
from scipy.io import savemat

from ltr.common.errors import UserError
from pytracking.analysis.otb_results import read_otb_results

RECT = np.array([[10.0, 20, 30, 40], [11, 21, 30, 40], [np.nan] * 4])


def save(path, *runs, cell=True):
    """MATLAB's results{1}, results{2}, ...; or, if `cell` is false, a struct alone."""
    stored = np.empty((1, len(runs)), object)
    stored[0] = runs
    savemat(path, {"results": stored if cell else runs[0]})
    return path


def run(res=RECT, **fields):
    return {"res": np.asarray(res, float), "type": "rect", "annoBegin": 1.0, "startFrame": 1.0, **fields}


@pytest.mark.parametrize("cell", [True, False])
def test_rectangles(tmp_path, cell):
    boxes, before = read_otb_results(save(tmp_path / "deer_ECO.mat", run(), cell=cell))
    np.testing.assert_array_equal(boxes, RECT)
    assert before == 0


def test_the_one_pass_of_a_temporal_evaluation_is_its_first_run(tmp_path):
    runs = [run(RECT[i:], startFrame=300.0 + i, annoBegin=300.0) for i in range(3)]
    boxes, before = read_otb_results(save(tmp_path / "david_ECO.mat", *runs))
    assert len(boxes) == 3 and before == 0
    assert read_otb_results(save(tmp_path / "tiger1_ECO.mat", run(startFrame=6.0)))[1] == 5


def test_affine_maps_become_the_rectangles_of_the_toolkit(tmp_path):
    # 32 x 16, twice as wide, moved to (100.6, 50.2): corners (68.6, 42.2) and (132.6, 58.2), which are rounded down.
    upright = [100.6, 50.2, 2, 0, 0, 1]
    boxes, _ = read_otb_results(save(tmp_path / "a.mat", run([upright], type="ivtAff", tmplsize=[32.0, 16.0])))
    np.testing.assert_array_equal(boxes, [[68, 42, 64, 16]])


def test_corners_become_the_rectangles_around_them(tmp_path):
    corners = [[10, 19, 19, 10], [20, 20, 39, 39], [0, 5, 10, 5], [5, 0, 5, 10.4]]
    boxes, _ = read_otb_results(save(tmp_path / "a.mat", run(corners, type="4corner")))
    np.testing.assert_array_equal(boxes, [[10, 20, 10, 20], [0, 0, 11, 11]])


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([run(type="L1Aff")], "of the type 'L1Aff'"),
        ([run(shiftType="left"), run(shiftType="right")], "spatial robustness.*'left'"),
        ([run(startFrame=20.0), run()], "starts at frame 20, after another one"),
        ([run(np.ones((3, 6)))], "4 columns, not 3 x 6"),
        ([run(type="ivtAff", res=np.ones((3, 6)))], "'tmplsize' of its results is not 2 numbers"),
        ([run(np.full((2, 4), np.inf))], "row 1 of its boxes is infinite"),
    ],
)
def test_what_is_no_one_pass_in_a_known_form_is_refused(tmp_path, runs, says):
    with pytest.raises(UserError, match=f"deer_X.mat.*{says}"):
        read_otb_results(save(tmp_path / "deer_X.mat", *runs))


def test_other_and_damaged_files(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"position": RECT})
    with pytest.raises(UserError, match=r"a\.mat has no variable 'results'.*it holds position"):
        read_otb_results(path)
    savemat(path, {"results": RECT})
    with pytest.raises(UserError, match="not a cell array of structs"):
        read_otb_results(path)
    with pytest.raises(UserError, match=r"absent\.mat cannot be read"):
        read_otb_results(tmp_path / "absent.mat")
    for content in (b"", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(600)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.mat"):
            read_otb_results(path)
