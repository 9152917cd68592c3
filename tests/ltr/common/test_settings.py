"""What saved settings mean: differences to those of a run, and former names of fields."""

import json
from pathlib import Path

import pytest

from ltr.common.plain import to_plain
from ltr.common.settings import ScheduleSettings, differences, restored
from ltr.train_settings.registry import load_settings
from tests.helpers.tiny_training import make_settings


def test_differences_look_into_nested_settings_and_past_fields_of_the_run():
    before = to_plain(make_settings())
    now = make_settings(workers=3, workspace=Path("x"), batch_size=16)
    now.optimizer.betas = (0.8, 0.999)
    assert differences(now, before) == {"batch_size": (8, 16), "optimizer.betas": ([0.9, 0.999], [0.8, 0.999])}


def test_a_checkpoint_older_than_a_field_means_its_default():
    before = to_plain(make_settings())
    del before["seed"], before["schedule"]
    before["old"] = 1
    assert differences(make_settings(), before) == {"old": (1, "not set")}
    found = differences(make_settings(seed=2, schedule=ScheduleSettings(gamma=0.5)), before)
    assert found.keys() == {"old", "seed", "schedule"} and found["seed"] == ("not set", 2)


# --- former names

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
