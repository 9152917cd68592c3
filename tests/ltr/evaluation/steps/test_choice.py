"""The file of a choice beside its weights."""

import json

import pytest

from ltr.common.errors import UserError
from ltr.evaluation.steps.choice import StepChoice, keep_choice, kept_choice

CHOICE = StepChoice((1e-4, 4e-4), 0.5, 10, "mean IoU", 80.0, "100 images")


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "ebm_final.safetensors"
    file.write_bytes(b"weights")
    return file


def test_what_is_kept_is_found_for_each_file_of_a_folder(weights, caplog):
    other = weights.with_name("best.pth")
    other.write_bytes(b"others")
    assert kept_choice(weights) is None
    file = keep_choice(weights, CHOICE)
    assert kept_choice(weights) == CHOICE and kept_choice(other) is None and file.name == "refinement.json"
    second = StepChoice((3.0,), None, 5, "mean absolute error", 4.0, "20 images", "digest")
    keep_choice(other, second)
    assert kept_choice(weights) == CHOICE and kept_choice(other) == second and not caplog.text


def test_after_a_new_training_the_choice_is_ignored_with_a_word(weights, caplog):
    keep_choice(weights, CHOICE)
    weights.write_bytes(b"new weights")
    assert kept_choice(weights) is None
    assert "refinement.json was written for earlier weights of ebm_final.safetensors and is ignored" in caplog.text
    keep_choice(weights, CHOICE)
    assert kept_choice(weights) == CHOICE


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"ebm_final.safetensors": 3}', '{"ebm_final.safetensors": {}}'])
def test_a_damaged_file_is_as_none(weights, content):
    (weights.parent / "refinement.json").write_text(content)
    assert kept_choice(weights) is None
    keep_choice(weights, CHOICE)
    assert kept_choice(weights) == CHOICE


@pytest.mark.parametrize(
    "changes",
    [
        {"step": None},
        {"step": []},
        {"step": ["a"]},
        {"step": [-1.0, 2.0]},
        {"step": [float("nan")]},
        {"decay": 2.0},
        {"decay": "x"},
        {"iterations": -1},
        {"iterations": None},
        {"value": "x"},
        {"more": 1},
    ],
)
def test_a_damaged_entry_is_said(weights, changes, caplog):
    file = keep_choice(weights, CHOICE)
    content = json.loads(file.read_text())
    content[weights.name].update(changes)
    file.write_text(json.dumps(content))
    assert kept_choice(weights) is None and "is damaged and is ignored" in caplog.text


def test_a_folder_that_cannot_be_written_is_one_sentence(weights):
    (weights.parent / "refinement.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        keep_choice(weights, CHOICE)
