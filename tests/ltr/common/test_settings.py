"""Settings that were saved by earlier versions, whose fields had other names, still mean the same."""

import json

import pytest

from ltr.common.plain import to_plain
from ltr.common.settings import differences, restored
from ltr.train_settings.registry import load_settings

RENAMED = [
    ("age", "ebm", "loss", "number", "num_samples"),
    ("age", "softmax_ce_l2", "bins", "number", "num_bins"),
    ("head_pose", "ebm", "loss", "number", "num_samples"),
    ("toy", "ebm", "loss", "number", "num_samples"),
    ("bbreg", "ebm", "proposals", "number", "num_samples"),
    ("detection", "ebm", "proposals", "number", "num_samples"),
]


def saved_by_an_earlier_version(settings, group: str, formerly: str, today: str) -> dict:
    """As they stand in a checkpoint or, as JSON, in the header of final weights."""
    plain = json.loads(json.dumps(to_plain(settings)))
    plain[group] = {formerly if name == today else name: value for name, value in plain[group].items()}
    assert formerly in plain[group] and today not in plain[group]
    return plain


@pytest.mark.parametrize("module, system, group, formerly, today", RENAMED)
def test_former_names_resume_and_restore(module, system, group, formerly, today):
    settings = load_settings(module, system).settings()
    setattr(getattr(settings, group), today, 7)
    saved = saved_by_an_earlier_version(settings, group, formerly, today)
    assert differences(settings, saved) == {}

    default = load_settings(module, system).settings()
    assert differences(default, saved).keys() == {f"{group}.{today}"}
    again = restored(default, saved)
    assert again == settings and getattr(getattr(again, group), today) == 7
    assert getattr(getattr(default, group), today) != 7


def test_unknown_names_are_refused():
    settings = load_settings("toy", "ebm").settings()
    with pytest.raises(KeyError, match="unknown setting colour"):
        restored(settings, {"colour": 1})
    assert differences(settings, {**to_plain(settings), "colour": 1}) == {"colour": (1, "not set")}
