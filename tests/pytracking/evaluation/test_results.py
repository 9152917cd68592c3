"""The folder of results, and the record beside them."""

import json

import pytest

from ltr.common.errors import UserError
from pytracking.evaluation.results import ResultFolder
from pytracking.evaluation.running import TrackerSpec


def test_results_from_before_a_setting_was_renamed_are_added_to(tmp_path):
    spec = TrackerSpec("atom", "ebm")
    folder = ResultFolder(tmp_path, spec.made_with())
    folder.prepare()
    folder.add_record({})
    record = json.loads((tmp_path / "run.json").read_text())
    density = record["made_with"]["settings"]["density"]
    density["candidates"], density["cells"] = density.pop("num_samples"), density.pop("num_cells")
    (tmp_path / "run.json").write_text(json.dumps(record))
    ResultFolder(tmp_path, spec.made_with()).prepare()
    density["candidates"] = 64
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"settings\.density\.num_samples was 64 and is 1536"):
        ResultFolder(tmp_path, spec.made_with()).prepare()
