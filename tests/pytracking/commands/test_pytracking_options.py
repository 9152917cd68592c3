"""Command lines of PyTracking's users."""

import pytest

from ltr.train_settings.registry import load_settings
from pytracking.commands import options, track, video, webcam
from pytracking.factory import tracker_settings


def parsed(module, *words):
    return options.parse(module._parser(), ["opencv", "csrt", *words])[0]


@pytest.mark.parametrize("words", [["--use_visdom"], ["--use_visdom", "True"], ["--use-visdom=1"], ["--visdom"]])
def test_the_live_view_by_its_old_name(words):
    assert parsed(track, *words).visdom and parsed(video, "clip.mp4", *words).visdom and parsed(webcam, *words).visdom


def test_the_live_view_can_be_switched_off(capsys):
    # PyTracking takes any text for True, so that its users could not switch the view off
    found = parsed(track, "--use_visdom", "False", "--debug", "1")
    assert found.no_visdom and not found.visdom
    with pytest.raises(SystemExit, match="2"):
        parsed(track, "--use_visdom", "maybe")
    assert "neither True nor False" in capsys.readouterr().err


def test_the_options_of_run_video():
    found = parsed(video, "clip.mp4", "--optional_box", "1", "2", "30", "40", "--save_results", "--debug", "1")
    assert found.box == [[1, 2, 30, 40]] and found.video == ["clip.mp4"]


def test_the_options_of_run_tracker():
    words = (
        "--run_id 3 --dataset_name otb nfs --sequence 0 --debug 1 --threads 4 --visdom_server 127.0.0.1 --visdom_port 1"
    )
    found = parsed(track, *words.split())
    assert (found.runid, found.threads, found.dataset_name) == (3, 4, ["otb", "nfs"])


def test_no_help_lists_them():
    for module in (track, video, webcam):
        shown = module._parser().format_help()
        assert "use_visdom" not in shown and "optional_box" not in shown


def test_parameters_by_their_old_names(capsys):
    _, spec = options.parse(track._parser(), ["atom", "atom_prob_ml"])
    assert spec.param == "ebm"  # and so is its results folder
    assert "atom_prob_ml is PyTracking's name of ebm" in capsys.readouterr().err
    assert tracker_settings("atom", "atom_gmm_sampl") == tracker_settings("atom", "atom_star")


def test_train_settings_by_their_old_names():
    for old, new in [("atom_paper", "atom_resnet18"), ("atom_prob_ml", "ebm_resnet18")]:
        assert load_settings("bbreg", old) is load_settings("bbreg", new)
