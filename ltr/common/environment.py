"""Where data sets, results and checkpoints lie on this machine.

A path is the first of these that is set:

1. the value on the command line,
2. the environment variable ``EBM_<NAME>``, as in ``EBM_OTB=/data/otb``,
3. an entry of a settings file, ``ebm_paths.toml`` in the current folder, then ``~/.config/ebm_regression/paths.toml``::

       [paths]
       otb = '/data/otb'
       results = 'runs/tracking'      # relative paths count from the file's own folder

Only ``results``, ``workspace`` and ``cache`` have defaults.
"""

import difflib
import os
import tomllib
from pathlib import Path

from ltr.common.errors import UserError
from ltr.common.files import read_text

PATH_NAMES = {
    "otb": "the OTB-100 sequences",
    "nfs": "the Need for Speed sequences",
    "uav": "UAV123 (data_seq and anno)",
    "uav123_10fps": "UAV123 at 10 frames per second (data_seq and anno)",
    "lasot": "the LaSOT sequences",
    "lasot_extension_subset": "the sequences of LaSOT's extension",
    "got10k": "the GOT-10k sequences (train, val, test)",
    "trackingnet": "the TrackingNet sets (TRAIN_0, ..., TEST)",
    "tpl": "the Temple Color 128 sequences",
    "dtb70": "the DTB70 sequences",
    "vot": "a VOT workspace, or its sequences",
    "coco": "the COCO images and annotations",
    "utkface": "the UTKFace images and utk_train.csv, utk_test.csv",
    "biwi": "the BIWI head poses (hpdb, db_annotations)",
    "pointing04": "the Pointing'04 head poses",
    "aflw2000": "the AFLW2000-3D head poses",
    "fsanet": "the .npz files of FSA-Net (BIWI_train.npz, BIWI_test.npz)",
    "image_folder": "an image folder with its index.jsonl",
    "results": "where tracking results are written",
    "workspace": "where checkpoints, logs and generated data are written",
    "cache": "where it is remembered what was read of large data sets",
}
"""What each name stands for; data sets are in the layouts of their own distributions."""
DEFAULTS = {"results": "tracking_results", "workspace": "workspace", "cache": "~/.cache/ebm_regression"}
"""Folders that are made when they are needed; all others must exist."""
_NO_OPTION = ""


class EnvironmentPathError(UserError):
    """A path is not set or does not exist, or a settings file is not valid."""


def settings_files() -> list[Path]:
    """The settings files in the order in which they are read, whether or not they exist."""
    return [Path.cwd() / "ebm_paths.toml", Path.home() / ".config" / "ebm_regression" / "paths.toml"]


def get_path(name: str, flag_value: str | os.PathLike | None = _NO_OPTION) -> Path:
    """The folder of a data set, of the results or of the workspace on this machine.

    Args:
        name: a key of :data:`PATH_NAMES`.
        flag_value: the value on the command line, None if there is none; omit it if the command has no such option.

    Raises:
        EnvironmentPathError: if the folder is not set (the message names the ways to set it), a data set's folder does
            not exist (the message names the setting that it comes from), or a settings file is not valid.
    """
    if name not in PATH_NAMES:
        raise ValueError(f"unknown path name {name!r}; known are {', '.join(PATH_NAMES)}")
    path, source = _find(name, flag_value)
    if name not in DEFAULTS and not path.is_dir():
        raise EnvironmentPathError(
            f"the folder of {PATH_NAMES[name]} ('{name}'), {path}, does not exist (set by {source})"
        )
    return path


def _find(name: str, flag_value: str | os.PathLike | None) -> tuple[Path, str]:
    if flag_value is not None and os.fspath(flag_value) != "":
        return Path(flag_value).expanduser(), "the command line"
    variable = f"EBM_{name.upper()}"
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser(), f"the environment variable {variable}"
    for file in settings_files():
        value = _read_settings_file(file).get(name)
        if value:
            return file.parent / Path(value).expanduser(), f"the settings file {file}"
    if name in DEFAULTS:
        return Path(DEFAULTS[name]).expanduser(), "default"
    option = "" if flag_value == _NO_OPTION else "give it on the command line, "
    raise EnvironmentPathError(
        f"no folder is set for {PATH_NAMES[name]} ('{name}'): {option}set the environment variable {variable}, or "
        f"write {name} = '/path/to/it' under [paths] in {' or '.join(str(file) for file in settings_files())}"
    )


def _read_settings_file(file: Path) -> dict[str, str]:
    try:
        text = read_text(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentPathError(f"the settings file {file} cannot be read: {error}") from error
    try:
        paths = tomllib.loads(text).get("paths", {})
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # The usual cause on Windows: "C:\data" in double quotes reads \d as an escape.
        hint = "; write paths with back-slashes in single quotes" if "\\" in text else ""
        raise EnvironmentPathError(f"the settings file {file} is not valid TOML: {error}{hint}") from error
    if not isinstance(paths, dict):
        raise EnvironmentPathError(
            f"the settings file {file} sets 'paths' itself; write a line [paths], then name = '...'"
        )
    for key, value in paths.items():
        if key not in PATH_NAMES:
            near = difflib.get_close_matches(key, PATH_NAMES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(PATH_NAMES)}"
            raise EnvironmentPathError(f"the settings file {file} sets an unknown path '{key}'; {hint}")
        if not isinstance(value, str) or "\0" in value:
            raise EnvironmentPathError(
                f"the settings file {file} sets '{key}' to {value!r}, which is not a path in quotes"
            )
    return paths
