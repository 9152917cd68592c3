"""Where paths come from."""

import os

import pytest

from ltr.common.environment import EnvironmentPathError, get_path


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """A home and a current folder without settings, and no variables."""
    for name in ("home", "cwd", "flag", "variable", "local", "user"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    for name in ("OTB", "RESULTS", "WORKSPACE", "CACHE", "NFS"):
        monkeypatch.delenv(f"EBM_{name}", raising=False)


def write_settings(folder, text, name="ebm_paths.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_flag_then_variable_then_local_file_then_user_file(tmp_path, monkeypatch):
    write_settings(
        tmp_path / "home" / ".config" / "ebm_regression", f"[paths]\notb = '{tmp_path / 'user'}'\n", "paths.toml"
    )
    assert get_path("otb") == tmp_path / "user"
    write_settings(tmp_path / "cwd", f"[paths]\notb = '{tmp_path / 'local'}'\n")
    assert get_path("otb") == tmp_path / "local"
    monkeypatch.setenv("EBM_OTB", str(tmp_path / "variable"))
    assert get_path("otb") == tmp_path / "variable"
    assert get_path("otb", tmp_path / "flag") == tmp_path / "flag"


def test_a_file_that_does_not_set_a_path_leaves_it_to_the_next(tmp_path):
    write_settings(
        tmp_path / "home" / ".config" / "ebm_regression", f"[paths]\notb = '{tmp_path / 'user'}'\n", "paths.toml"
    )
    write_settings(tmp_path / "cwd", "[paths]\nresults = 'elsewhere'\n")
    assert get_path("otb") == tmp_path / "user"
    assert get_path("results") == tmp_path / "cwd" / "elsewhere"


def test_relative_and_home_paths(tmp_path, monkeypatch):
    write_settings(tmp_path / "cwd", "[paths]\notb = '../local'\nnfs = '~'\n")
    assert get_path("otb").resolve() == tmp_path / "local"
    assert get_path("nfs") == tmp_path / "home"


def test_what_is_written_has_defaults_and_data_sets_have_none(tmp_path):
    assert str(get_path("results")) == "tracking_results"
    assert str(get_path("workspace")) == "workspace"
    assert get_path("cache") == tmp_path / "home" / ".cache" / "ebm_regression"
    ways = r"set the environment variable EBM_NFS, or write nfs = .*ebm_paths\.toml.*paths\.toml"
    with pytest.raises(EnvironmentPathError, match=r"\('nfs'\): " + ways):  # where no option gives it
        get_path("nfs")
    with pytest.raises(EnvironmentPathError, match=r"\('nfs'\): give it on the command line, " + ways):
        get_path("nfs", None)


def test_a_data_set_that_does_not_exist_is_named_with_the_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_OTB", str(tmp_path / "nowhere"))
    with pytest.raises(
        EnvironmentPathError, match=r"nowhere, does not exist \(set by the environment variable EBM_OTB\)"
    ):
        get_path("otb")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[paths\n", "not valid TOML"),
        ('[paths]\notb = "C:\\data"\n', "single quotes"),
        ("[paths]\notbb = '/x'\n", "did you mean otb"),
        ("[paths]\notb = 3\n", "'otb' to 3"),
        ("paths = '/x'\n", r"a line \[paths\]"),
    ],
)
def test_settings_files_that_cannot_be_understood(tmp_path, text, words):
    write_settings(tmp_path / "cwd", text)
    with pytest.raises(EnvironmentPathError, match=words) as error:
        get_path("otb")
    assert "ebm_paths.toml" in str(error.value)


@pytest.mark.parametrize("name", ["utkface", "biwi", "pointing04", "aflw2000", "fsanet"])
def test_every_regression_set_has_its_variable(tmp_path, monkeypatch, name):
    monkeypatch.delenv(f"EBM_{name.upper()}", raising=False)
    with pytest.raises(EnvironmentPathError, match=f"EBM_{name.upper()}"):
        get_path(name)
    monkeypatch.setenv(f"EBM_{name.upper()}", str(tmp_path / "variable"))
    assert get_path(name) == tmp_path / "variable"


def test_a_byte_order_mark_of_an_editor_is_skipped(tmp_path):
    write_settings(tmp_path / "cwd", f"\ufeff[paths]\notb = '{tmp_path / 'local'}'\n")
    assert get_path("otb") == tmp_path / "local"


@pytest.mark.parametrize("text", ["[paths]\notb = '/a\\u0000b'\n".replace("'", '"'), "x = " + "[" * 5000])
def test_settings_files_of_no_use_are_refused(tmp_path, text):
    write_settings(tmp_path / "cwd", text)
    with pytest.raises(EnvironmentPathError, match="ebm_paths.toml"):
        get_path("otb")


def test_a_pipe_in_place_of_the_settings_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "cwd" / "ebm_paths.toml")
    with pytest.raises(EnvironmentPathError, match="a pipe"):
        get_path("otb")
