"""The scripts, styles and fonts of visdom's page, taken from npm packages:

    python -m pytracking.view.page_scripts

visdom's package lacks them. Its server fetches them from several hosts when it first starts, and serves an empty page
if it cannot. With these files in place it starts without a network.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ltr.common.errors import UserError, cli_main

TIMEOUT = 300  # seconds for one package; MathJax has 20 MB

_MATHJAX_FILES = (
    "MathJax.js",
    "config/Safe.js",
    "config/TeX-AMS-MML_HTMLorMML.js",
    "extensions/Safe.js",
    "jax/output/SVG/config.js",
    "jax/output/SVG/fonts/TeX/Size1/Regular/Main.js",
    "jax/output/SVG/fonts/TeX/fontdata.js",
    "jax/output/SVG/jax.js",
)
_GLYPHS = "glyphicons-halflings-regular"

# By package, its files: name in the package, and path in visdom's folder `static`, where the page looks for it.
PACKAGES: dict[str, dict[str, str]] = {
    "jquery@3.1.1": {"dist/jquery.min.js": "js/jquery.min.js"},
    "bootstrap@3.3.7": {
        "dist/js/bootstrap.min.js": "js/bootstrap.min.js",
        "dist/css/bootstrap.min.css": "css/bootstrap.min.css",
        **{f"dist/fonts/{_GLYPHS}.{kind}": f"fonts/{_GLYPHS}.{kind}" for kind in ("eot", "ttf", "woff", "woff2")},
        f"dist/fonts/{_GLYPHS}.svg": f"fonts/{_GLYPHS}.svg#glyphicons_halflingsregular",
    },
    "react@16.2.0": {"umd/react.production.min.js": "js/react-react.min.js"},
    "react-dom@16.2.0": {"umd/react-dom.production.min.js": "js/react-dom.min.js"},
    "react-modal@3.1.10": {"dist/react-modal.min.js": "js/react-modal.min.js"},
    "react-resizable@1.4.6": {"css/styles.css": "css/react-resizable-styles.css"},
    "react-grid-layout@0.16.3": {"css/styles.css": "css/react-grid-layout-styles.css"},
    "plotly.js-dist-min@2.11.1": {"plotly.min.js": "js/plotly-plotly.min.js"},
    "sjcl@1.0.7": {"sjcl.js": "js/sjcl.js"},
    "layout-bin-packer@1.4.0": {
        "dist/layout-bin-packer.js": "js/layout_bin_packer.js",
        "dist/layout-bin-packer.js.map": "js/layout-bin-packer.js.map",
    },
    "d3@3.5.17": {"d3.min.js": "js/d3.v3.min.js"},
    "d3-selection-multi@1.0.1": {"build/d3-selection-multi.js": "js/d3-selection-multi.v1.js"},
    "save-svg-as-png@1.4.17": {"lib/saveSvgAsPng.js": "js/saveSvgAsPng.js"},
    "classnames@2.2.5": {"index.js": "fonts/classnames"},
    "mathjax@2.7.5": {file: f"js/mathjax/2.7.5/{file}" for file in _MATHJAX_FILES},
}


@dataclass(frozen=True)
class VisdomPackage:
    """The installed package visdom: the folder that its server serves, and its version."""

    static: Path
    version: str

    @classmethod
    def find(cls) -> VisdomPackage:
        """Find it without importing it, which would take seconds.

        Raises:
            UserError: if it is not installed.
        """
        spec = importlib.util.find_spec("visdom")
        if spec is None or not spec.submodule_search_locations:
            raise UserError("the package visdom is not installed: run bash install.sh --visdom, or pip install visdom")
        folder = Path(spec.submodule_search_locations[0])
        return cls(folder / "static", (folder / "VERSION").read_text().strip())

    def missing(self) -> dict[str, dict[str, str]]:
        """The part of PACKAGES whose files are missing or empty."""
        found = {
            package: {member: path for member, path in files.items() if not _is_filled(self.static / path)}
            for package, files in PACKAGES.items()
        }
        return {package: files for package, files in found.items() if files}

    def mark_complete(self) -> None:
        """Write the file that makes visdom's server fetch nothing."""
        (self.static / "version.built").write_text(self.version)

    def install_scripts(self, npm: str | None) -> int:
        """Fetch the missing files and put them into the folder.

        Args:
            npm: path of the program; None if it is not installed.

        Returns:
            The number of files.

        Raises:
            UserError: if npm is missing, a package cannot be fetched, or the folder cannot be written.
        """
        missing = self.missing()
        try:
            with tempfile.TemporaryDirectory(prefix="page_scripts_") as folder:
                for package, files in missing.items():
                    if npm is None:
                        raise UserError(_failure("npm is not installed"))
                    _extract(_fetch(npm, package, Path(folder)), files, self.static)
            self.mark_complete()
        except OSError as error:
            raise UserError(_failure(f"{error.filename}: {error.strerror}")) from error
        return sum(map(len, missing.values()))


def _fetch(npm: str, package: str, folder: Path) -> Path:
    """Download a package and return its archive. npm verifies the registry's checksum."""
    command = [npm, "pack", package, "--silent"]
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise UserError(_failure(f"npm took more than {TIMEOUT} seconds for {package}")) from None
    archive = folder / (run.stdout.split() or [""])[-1]
    if run.returncode or not archive.is_file():
        reason = next((line for line in run.stderr.splitlines() if line.strip()), "the registry cannot be reached")
        raise UserError(_failure(f"npm could not fetch {package}: {reason.strip()}"))
    return archive


def _extract(archive: Path, files: dict[str, str], static: Path) -> None:
    with tarfile.open(archive) as package:
        members = {member.name.partition("/")[2]: member for member in package if member.isfile()}
        for name, path in files.items():
            file = package.extractfile(members[name]) if name in members else None
            content = file.read() if file else b""
            if not content:
                raise UserError(_failure(f"the package {archive.name} has no {name}"))
            target = static / path
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            partial.write_bytes(content)
            partial.replace(target)


def _failure(reason: str) -> str:
    return (
        f"the scripts of visdom's page could not be installed ({reason}): resolve this and run the command again, or "
        "start 'python -m visdom.server' once with a network: it fetches them itself"
    )


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


@cli_main
def main() -> int:
    """Install the scripts and return the exit code."""
    visdom = VisdomPackage.find()
    number = visdom.install_scripts(shutil.which("npm"))
    if number:
        print(f"Installed {number} files of visdom's page, from npm packages, in {visdom.static}")
    else:
        print(f"The files of visdom's page are in {visdom.static} already")
    command = Path(sys.executable).with_name("ebm-view")  # install.sh has not activated the environment
    command = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    print(f"Next, in a terminal of its own: {command}     (then open http://localhost:8097)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
