"""Others' boxes in another form."""

import numpy as np
import pytest

from pytracking.analysis import Annotation, external_results, score_results
from pytracking.analysis.box_forms import REMEDIES, first_box_notes, form_of

TRUTH = np.array([30.0, 40, 21, 17]) + np.arange(20)[:, None] * [2, 1, 0, 0]
SIZE = np.array([160, 120, 160, 120.0])
CORNERS = TRUTH + np.pad(TRUTH[:, :2], ((0, 0), (2, 0)))
CENTRE = TRUTH + np.pad(TRUTH[:, 2:] / 2, ((0, 0), (0, 2)))
FORMS = {
    "": [TRUTH, np.trunc(TRUTH), TRUTH + 0.3, np.floor(TRUTH + 0.5)],
    "corners (left, top, right, bottom)": [CORNERS, CORNERS - [0, 0, 1, 1], CORNERS + 1],
    "centre and size (cx, cy, w, h)": [CENTRE, CENTRE - [0.5, 0.5, 0, 0]],
    "rows and columns (y, x, h, w)": [TRUTH[:, [1, 0, 3, 2]]],
    "fractions of the image (x, y, w, h)": [TRUTH / SIZE],
    "fractions of the image, as corners": [CORNERS / SIZE],
    "fractions of the image, with the centre (cx, cy, w, h)": [CENTRE / SIZE],
    "pixels from 0": [TRUTH - [1, 1, 0, 0], np.round(TRUTH - [1.2, 0.9, 0, 0])],
    "pixels from 1": [TRUTH + [1, 1, 0, 0]],
    "boxes in images of another size": [TRUTH / 2],
    None: [TRUTH + [40, 40, 9, 0], np.ones_like(TRUTH)],
}


@pytest.mark.parametrize(("form", "boxes"), [(form, each) for form, some in FORMS.items() for each in some])
def test_the_first_box_tells_the_form(form, boxes):
    assert form_of(boxes, TRUTH) == form


def test_fractional_truth_truncated_is_the_annotated_box():
    truth = TRUTH + [0.99, 0.6, 0.3, 0.8]
    assert form_of(np.trunc(truth), truth) == "" and form_of(np.round(truth), truth) == ""
    assert form_of(TRUTH, np.full((20, 4), np.nan)) == ""


def test_the_report_says_which_form_would_fit_and_converts_nothing(tmp_path):
    sequences = [Annotation(name, TRUTH) for name in ("Bolt", "Deer")]
    for tracker, boxes in {"own": TRUTH, "corners": CORNERS, "odd": TRUTH + [40, 40, 9, 0]}.items():
        (tmp_path / tracker).mkdir()
        for name in ("Bolt", "Deer"):
            np.savetxt(tmp_path / tracker / f"{name}.txt", boxes)
    results = external_results(None, tmp_path, ["Bolt", "Deer"])
    report = score_results("otb", sequences, results)
    scores = {tracker.name: tracker.overall.auc for tracker in report.trackers}
    assert scores["own"] == pytest.approx(20 / 21) and scores["corners"] < 0.5
    found = {note.split()[4]: note for note in report.notes if note.startswith("the first box of")}
    assert set(found) == {"corners", "odd"}
    assert "in 2 of 2 sequences (Bolt, Deer); it would be if these files hold corners (left, top" in found["corners"]
    assert "another box" in found["odd"]


def test_every_form_has_a_remedy():
    assert set(REMEDIES) == set(FORMS) - {"", None}
    assert all(first_box_notes("x", {"a": form})[0].endswith(remedy) for form, remedy in REMEDIES.items())
    assert first_box_notes("x", {"a": ""}) == []
