"""The parser of the console commands, and the types of its options."""

from pathlib import Path

import pytest

from ltr.common import command_line
from ltr.common.command_line import CommandParser, non_negative_int, positive_float, positive_int


@pytest.fixture
def parser():
    made = CommandParser(prog="ebm-test", description="Test.", examples="examples:\n  ebm-test a --save_video b")
    made.add_argument("name")
    made.add_argument("--save_video", metavar="FILE")
    made.add_argument("--set", nargs="+", metavar="NAME", help="several")
    return made


@pytest.mark.parametrize("option", ["--save_video", "--save-video"])
def test_dashes_and_underscores_are_alike(parser, option):
    assert parser.parse_args(["a-b", option, "c-d_e"]).save_video == "c-d_e"
    assert parser.parse_args([f"{option}=c-d=e", "a-b"]).save_video == "c-d=e"
    assert parser.parse_args(["a-b", option, "c"]).name == "a-b"


def test_other_options_stay_as_they_are_written(parser):
    _, others = parser.parse_known_args(["a", "--search-area-scale", "4", "--save", "x", "--a.b-c=d-e"])
    assert others == ["--search-area-scale", "4", "--save", "x", "--a.b-c=d-e"]


def test_help_has_the_examples_as_they_are_written(parser):
    shown = parser.format_help()
    assert shown.endswith("\nexamples:\n  ebm-test a --save_video b\n")
    assert "--set NAME ..." in shown and "--save-video" not in shown


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (non_negative_int, {"0": 0, "12": 12}, ["-1", "1.5", "x", ""]),
        (positive_int, {"1": 1, "12": 12}, ["0", "-1", "1.5", "x"]),
        (positive_float, {"0.5": 0.5, "3": 3.0}, ["0", "-1", "inf", "nan", "x"]),
    ],
)
def test_types_of_options(parser, capsys, kind, good, bad):
    parser.add_argument("--value", type=kind)
    for text, value in good.items():
        assert parser.parse_args(["a", f"--value={text}"]).value == value
    for text in bad:
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(["a", f"--value={text}"])
        assert f"argument --value: {text!r} is not a" in capsys.readouterr().err


def test_no_command_has_a_parser_of_its_own():
    """What is not a CommandParser would take an option in one spelling only."""
    root = Path(command_line.__file__).parents[2]
    for module in [*root.glob("ltr/commands/*.py"), *root.glob("pytracking/commands/*.py")]:
        assert "ArgumentParser(" not in module.read_text(encoding="utf-8"), module


@pytest.mark.parametrize("number", ["-1", "-1.5", "-.5", "-1e-1", "-2.5E+3", "-1.", "-inf"])
def test_negative_numbers_are_no_options(number):
    parser = CommandParser(prog="x")
    parser.add_argument("--box", nargs=4, type=float)
    parser.add_argument_group("more").add_argument("--other", type=float)
    options = parser.parse_args(["--box", number, "1", number, "2", "--other", number])
    assert options.box == [float(number), 1, float(number), 2] and options.other == float(number)
