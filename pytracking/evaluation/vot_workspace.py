"""The file trackers.ini of a VOT workspace, in which the VOT toolkit finds its trackers."""

from __future__ import annotations

import configparser
import re
import shlex
import sys
from pathlib import Path

import pytracking
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.files import read_text, write_text, writing
from pytracking.evaluation.running import TrackerSpec

_ROOT = Path(pytracking.__file__).resolve().parents[1]


def identifier(spec: TrackerSpec) -> str:
    """The toolkit's name of a tracker, such as atom_ebm or atom_ebm_003; VOT allows letters, digits, _ and -."""
    return re.sub(r"[^\w-]", "-", f"{spec.tracker}_{spec.results_folder(Path()).name}", flags=re.ASCII)


def entry(spec: TrackerSpec, module: str) -> dict[str, str]:
    """The keys of a tracker's section.

    The toolkit starts the command in an empty folder, so paths are whole: of this Python, of files that the settings
    name, and of the workspace of networks.

    Args:
        module: the command's module, which `python -m` starts.
    """
    words = [sys.executable, "-m", module, spec.tracker, spec.param]
    words += [] if spec.device is None else ["--device", spec.device]
    words += ["--seed", str(spec.seed)] if spec.seed else []
    words += [str(Path(word).resolve()) if Path(word).is_file() else word for word in spec.overrides]
    label = f"{spec.tracker} {spec.results_folder(Path()).name}"
    keys = {"label": label, "protocol": "trax", "command": shlex.join(words)}
    keys["env_EBM_WORKSPACE"] = str(get_path("workspace").resolve())  # in which networks are looked for by name
    if _ROOT.name != "site-packages":  # a checkout: the toolkit runs this very copy
        keys["env_PYTHONPATH"] = str(_ROOT)
    return keys


def add_tracker(workspace: Path, name: str, keys: dict[str, str]) -> Path:
    """Add a section to the workspace's trackers.ini, or replace these keys in it; all else stays as it is written.

    Returns:
        The file.

    Raises:
        UserError: if the file cannot be read or written, or is not in the form of an .ini file.
    """
    file = workspace / "trackers.ini"
    with writing(file, "name another folder by --workspace"):
        workspace.mkdir(parents=True, exist_ok=True)
        try:
            text = read_text(file)
        except FileNotFoundError:
            text = ""
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not a text file in UTF-8: {error}") from error
        parser = configparser.ConfigParser()
        try:
            parser.read_string(text, str(file))
        except configparser.Error as error:
            raise UserError(f"{' '.join(str(error).split())}; put {file} right, then repeat the command") from error
        write_text(file, _with_section(text, name, keys))
    return file


def _with_section(text: str, name: str, keys: dict[str, str]) -> str:
    written = "".join(f"{key} = {value.replace('%', '%%')}\n" for key, value in keys.items())
    found = re.search(rf"^\[{re.escape(name)}\].*\n?", text, re.MULTILINE)
    if found is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[{name}]\n{written}"
    end = re.compile(r"^\[", re.MULTILINE).search(text, found.end())
    body = text[found.end() : end.start() if end else len(text)]
    ours = "|".join(map(re.escape, keys))
    # a value goes on in lines that are indented
    kept = re.sub(rf"^(?:{ours})\s*[=:].*\n?(?:[ \t]+\S.*\n?)*", "", body, flags=re.MULTILINE | re.IGNORECASE)
    return f"{text[: found.start()]}[{name}]\n{written}{kept}{text[end.start() :] if end else ''}"
