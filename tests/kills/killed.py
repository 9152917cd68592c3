"""A command that is disturbed, continued, and compared with one that was not disturbed."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.kills.processes import Command
from tests.kills.workloads import Workload, content, results


class Killed:
    """A workload that is disturbed.

    Args:
        workload: what runs.
        folder: for all that it reads and writes; empty.

    Attributes:
        seconds: how long it takes undisturbed.
        size, largest: bytes of all its files, and of the largest one.
    """

    def __init__(self, workload: Workload, folder: Path) -> None:
        self.workload, self.folder, self._count = workload, folder, 0
        self._data = folder / "data"
        self._data.mkdir()
        workload.prepare(self._data)
        started = time.monotonic()
        out = folder / "undisturbed"
        code, said = self._whole(out.name)
        assert code == 0, said
        self.seconds = time.monotonic() - started
        self.expected = results(out, workload.ignored)
        sizes = [file.stat().st_size for file in out.rglob("*") if file.is_file()]
        self.size, self.largest = sum(sizes), max(sizes)

    def disturb(self, moment: float, way: str) -> tuple[str, list[str]]:
        """Disturb it once at a moment, in seconds, and continue it.

        Returns:
            How the first process ended, and all that is wrong.
        """
        name = self._new_name()
        command = self._start(name)
        if command.wait(moment) is None:
            command.signal(way)
        problems = [f"it is not gone: {line}" for line in command.survivors()]
        first = command.wait()
        command.said()
        return f"exit code {first}", problems + self._continued(name)

    def fill(
        self, room: int, disk: Callable[[Path, int], contextlib.AbstractContextManager[Callable[[], None]]]
    ) -> tuple[str, list[str]]:
        """Let it run on a full disk once, and continue it where there is room.

        Args:
            room: bytes that fit.
            disk: a full disk, such as :func:`small_disk`.

        Returns:
            The last line of the first process, and all that is wrong.
        """
        name = self._new_name()
        (self.folder / name).mkdir()
        with disk(self.folder / name, room) as make_room:
            code, said = self._whole(name)
            problems = ["a traceback: " + said[-1500:]] if "Traceback" in said or code not in (0, 1, 2) else []
            make_room()
            if code == 0:
                problems += [f"exit code 0, and {problem}" for problem in self._wrong(name)]
            lines = [line for line in said.splitlines() if "error" in line or "failed" in line or "cannot" in line]
            if code != 0 and not lines:
                problems.append("it does not say why it failed")
            return f"exit code {code}, {lines[-1] if lines else 'without an error'}", problems + self._continued(name)

    def _new_name(self) -> str:
        self._count += 1
        return f"{self._count}"

    def _continued(self, name: str) -> list[str]:
        """What is wrong with the files of a disturbed command, and with those of the same command, given again."""
        out = self.folder / name
        problems = [f"half-written, and counted as finished: {file}" for file in self._half_written(out)]
        code, said = self._whole(name)
        if code != 0:
            problems.append(f"it does not continue: exit code {code}, {said[-600:]}")
        return problems + self._wrong(name)

    def _wrong(self, name: str) -> list[str]:
        """In which files it differs from the undisturbed command."""
        found = results(self.folder / name, self.workload.ignored)
        problems = [f"not written: {file}" for file in self.expected.keys() - found.keys()]
        problems += [f"left behind: {file}" for file in found.keys() - self.expected.keys()]
        both = found.keys() & self.expected.keys()
        return problems + [f"differs: {file}" for file in both if found[file] != self.expected[file]]

    def _half_written(self, out: Path) -> list[str]:
        """Files that count as finished, and differ from what they will be."""
        wrong: list[str] = []
        if not self.workload.complete(out):
            return wrong
        for name, expected in self.expected.items():
            if self.workload.is_final(name) and (out / name).exists():
                try:
                    same = content(out / name) == expected
                except Exception as error:
                    wrong.append(f"{name} ({error!r})")
                else:
                    wrong += [] if same else [name]
        return wrong

    def _start(self, name: str) -> Command:
        (self.folder / name).mkdir(exist_ok=True)

        def run() -> int | None:
            os.chdir(self.folder / name)  # results name their folder, which is to be the same each time
            return self.workload.run(self._data, Path("results"))

        return Command(run)

    def _whole(self, name: str) -> tuple[int | None, str]:
        """Its exit code and what it prints, undisturbed."""
        command = self._start(name)
        return command.wait(), command.said()


@contextlib.contextmanager
def small_disk(folder: Path, room: int) -> Iterator[Callable[[], None]]:
    """A disk of so many bytes on a folder, in memory; yields a function that makes it large. Only root may do that."""
    size = max(room, 16384)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True) and None
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def small_files(folder: Path, room: int) -> Iterator[Callable[[], None]]:
    """Lets no file grow beyond so many bytes, those of all folders; yields a function that ends that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield make_room
    finally:
        make_room()
