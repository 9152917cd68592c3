"""What may be given to any tracker: first boxes; and what it answers."""

import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from pytracking.tracker.base import TrackerOutput, check_first_box

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize("box", [[5, 6, 7, 8], (5.0, 6, 7, 8), np.array([[5, 6, 7, 8]]), np.uint8([5, 6, 7, 8])])
def test_first_boxes_become_four_doubles(box):
    checked = check_first_box(box, IMAGE)
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, [5, 6, 7, 8])


def test_the_first_box_may_be_partly_outside_and_smaller_than_a_pixel():
    for box in ([-5, -5, 6, 6], [59.5, 39.5, 30, 30], [-100, -100, 500, 500], [3, 4, 0.2, 0.3]):
        check_first_box(box, IMAGE)


@pytest.mark.parametrize(
    "box, reason",
    [
        ([5, 6, 0, 8], "no area"),
        ([5, 6, 7, -8], "no area"),
        ([60, 5, 7, 8], "outside the image, which is 60 x 40"),
        ([5, 40, 7, 8], "outside the image"),
        ([-7, 5, 7, 8], "outside the image"),
        ([5, -9, 7, 8], "outside the image"),
        ([5, 6, np.nan, 8], "four finite numbers"),
        ([5, np.inf, 7, 8], "four finite numbers"),
        ([5, 6, 7], "four finite numbers"),
        ([5, 6, 7, 8, 9], "four finite numbers"),
        ([], "four finite numbers"),
        (None, "four finite numbers"),
        ("here", "four numbers"),
        ([5, 6, [7], 8], "four numbers"),
        ([10**400, 6, 7, 8], "four numbers"),
        ([0, 0, 1e308, 1e308], "none in pixels"),
        ([5, 6, 1e-300, 8], "none in pixels"),
        ([-1e7, 6, 2e7, 8], "none in pixels"),
    ],
)
def test_first_boxes_that_cannot_be_are_refused(box, reason):
    with pytest.raises(UserError, match=reason) as error:
        check_first_box(box, IMAGE)
    assert "\n" not in str(error.value)


def test_the_callers_box_is_not_shared():
    box = np.array([5.0, 6, 7, 8])
    check_first_box(box, IMAGE)[:] = 0
    np.testing.assert_array_equal(box, [5, 6, 7, 8])


def test_edges_of_the_answers_box_for_other_libraries():
    from torchvision.ops import box_convert, box_iou
    from torchvision.utils import draw_bounding_boxes

    out = TrackerOutput(np.array([10.0, 5, 20, 12]), 1.0)
    edges = torch.from_numpy(out.xyxy)[None]
    torch.testing.assert_close(edges, box_convert(torch.from_numpy(out.box)[None], "xywh", "xyxy"))
    other = torch.tensor([[20.0, 5, 40, 17]], dtype=torch.float64)  # half of each in the other
    torch.testing.assert_close(box_iou(edges, other), torch.tensor([[1 / 3]], dtype=torch.float64))
    drawn = draw_bounding_boxes(torch.zeros(3, 40, 60, dtype=torch.uint8), edges, colors="white")
    rows, columns = drawn[0].nonzero().T
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 5, 30, 17)
