"""Installs the scripts of visdom's page, with a stand-in for npm."""

import io
import shutil
import tarfile

import pytest

import pytracking.view.page_scripts as page_scripts
from ltr.common.errors import UserError
from pytracking.view.page_scripts import PACKAGES, VisdomPackage

NPM = """#!/bin/sh
echo "$*" >>"{folder}/calls"
if [ -f "{folder}/offline" ]; then
  echo "npm error network request failed" >&2
  exit 1
fi
file="$(echo "$2" | sed 's/@/-/').tgz"
cp "{folder}/registry/$file" . && echo "$file"
"""


class Npm:
    """A program that hands out archives from a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.registry = folder / "registry"
        self.registry.mkdir()
        for package, files in PACKAGES.items():
            self.publish(package, {name: f"{package} {name}".encode() for name in files})
        self.program = folder / "npm"
        self.program.write_text(NPM.format(folder=folder))
        self.program.chmod(0o755)

    def publish(self, package, files):
        with tarfile.open(self.registry / f"{package.replace('@', '-')}.tgz", "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    def calls(self):
        file = self.folder / "calls"
        return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def npm(tmp_path):
    if shutil.which("sh") is None:
        pytest.skip("no sh")
    return Npm(tmp_path)


@pytest.fixture
def visdom(tmp_path):
    return VisdomPackage(tmp_path / "visdom" / "static", "0.2.4")


def test_every_file_is_installed_and_visdom_is_told_that_all_is_there(npm, visdom):
    number = visdom.install_scripts(str(npm.program))
    assert number == sum(map(len, PACKAGES.values())) and not visdom.missing()
    assert (visdom.static / "js" / "plotly-plotly.min.js").read_text() == "plotly.js-dist-min@2.11.1 plotly.min.js"
    assert (visdom.static / "js" / "mathjax" / "2.7.5" / "extensions" / "Safe.js").is_file()
    assert (visdom.static / "version.built").read_text() == "0.2.4"
    assert not list(visdom.static.rglob("*.partial"))


def test_installed_files_are_not_fetched_again(npm, visdom):
    visdom.install_scripts(str(npm.program))
    calls = npm.calls()
    assert len(calls) == len(PACKAGES)
    assert visdom.install_scripts(None) == 0 and npm.calls() == calls
    (visdom.static / "js" / "jquery.min.js").write_text("")
    assert visdom.install_scripts(str(npm.program)) == 1
    assert npm.calls() == [*calls, "jquery@3.1.1"]


def test_without_npm_or_a_network_the_error_names_the_remedy(npm, visdom):
    with pytest.raises(UserError, match="npm is not installed.*python -m visdom.server"):
        visdom.install_scripts(None)
    (npm.folder / "offline").touch()
    with pytest.raises(UserError, match="jquery@3.1.1.*network request failed.*python -m visdom.server"):
        visdom.install_scripts(str(npm.program))
    assert not (visdom.static / "version.built").exists()


@pytest.mark.parametrize("content", [{}, {"sjcl.js": b""}])
def test_a_package_without_the_file_or_with_an_empty_one_is_named(npm, visdom, content):
    npm.publish("sjcl@1.0.7", content)
    with pytest.raises(UserError, match="sjcl-1.0.7.tgz has no sjcl.js"):
        visdom.install_scripts(str(npm.program))
    assert not (visdom.static / "version.built").exists()
    assert (visdom.static / "js" / "jquery.min.js").is_file()  # what was installed before stays


def test_a_folder_that_cannot_be_written_is_named(npm, visdom):
    visdom.static.parent.mkdir()
    visdom.static.write_text("a file")
    with pytest.raises(UserError, match="static"):
        visdom.install_scripts(str(npm.program))


def test_without_visdom_the_command_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(page_scripts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as exit_:
        page_scripts.main()
    assert exit_.value.code == 2 and "bash install.sh --visdom" in capsys.readouterr().err


def test_the_list_is_that_of_the_installed_visdom():
    """Its own start, with these files, finds nothing to fetch."""
    try:
        package = VisdomPackage.find()
    except UserError as error:
        pytest.skip(str(error))
    source = (package.static.parent / "server" / "build.py").read_text()
    for files in PACKAGES.values():
        for path in files.values():
            name = path.rsplit("/", 1)[1]
            assert name in source, path
