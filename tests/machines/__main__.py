"""Train on two machines, and take one away: `python -m tests.machines [scenario ...]`.

The machines are network namespaces if this user may make some (root on Linux), else two torchruns on one machine. Each
has a folder of its own. What interrupts a training, and whether it ends with the bits of one that was not interrupted,
is printed; the exit code is 1 if anything is not as it should be.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file

from tests.helpers.comparing import same, wait_for
from tests.machines.agents import Machine, two_machines

SETTINGS = {"epochs": 4, "samples_per_epoch": 120, "checkpoint_minutes": 0.002, "timeout_minutes": 1.0}
WORKER = "tests.machines.worker"


class Run:
    """A training on two machines, whose folders are `a` and `b`."""

    def __init__(self, folder: Path, machines: tuple[Machine, Machine]) -> None:
        self.folders = [folder / "a", folder / "b"]
        self.machines = machines
        self.nodes, self.restarts = "2", 0  # as torchrun takes them
        self.step = 0.05  # seconds

    def start(self, number: int) -> None:
        arguments = str(self.folders[number]), json.dumps(SETTINGS), str(self.step)
        self.machines[number].start(self.nodes, WORKER, *arguments, restarts=self.restarts)

    def begin(self, until: str) -> None:
        """Starts both, and waits until the first has said something."""
        for number in (0, 1):
            self.start(number)
        self.until(until)

    def until(self, text: str, count: int = 1) -> None:
        wait_for(lambda: sum(machine.text().count(text) for machine in self.machines) >= count, 120)

    def end(self) -> list[int]:
        return [machine.wait() for machine in self.machines]

    def weights(self) -> list[dict]:
        return [load_file(folder / "tiny_final.safetensors") for folder in self.folders]

    def is_clean(self) -> bool:
        return not any(file for folder in self.folders for file in folder.rglob("*.tmp"))


def unbroken(run: Run) -> None:
    run.begin("epoch 1/4")
    assert run.end() == [0, 0]


def lost_and_back(run: Run) -> None:
    """The second machine loses its power and is started again; the first waits for it."""
    run.restarts = 3
    run.begin("epoch 2/4 |")
    run.machines[1].kill()
    run.until("cannot reach the others")
    run.start(1)
    assert run.end() == [0, 0]
    run.until("continuing from")


def alone_and_back(run: Run) -> None:
    """The second machine loses its power; the first goes on alone, and with the second when that is back."""
    run.nodes, run.restarts, run.step = "1:2", 3, 0.4
    run.begin("epoch 1/4 |")
    run.machines[1].kill()
    run.until("2 processes trained it so far, now 1")
    run.start(1)
    assert run.end() == [0, 0]
    run.until("1 processes trained it so far, now 2")


def ctrl_c(run: Run) -> None:
    """Ctrl-C in the second machine's terminal stops both; both are started again."""
    run.begin("epoch 2/4 |")
    run.machines[1].signal(signal.SIGINT)
    assert all(run.end())
    run.until("stopped at", 2)
    run.begin("continuing from")
    assert run.end() == [0, 0]


def torchrun_killed(run: Run) -> None:
    """Only torchrun dies on the second machine: what it had started ends by itself, and so does the first."""
    run.begin("epoch 2/4 |")
    run.machines[1].signal(signal.SIGKILL)
    assert all(run.end())
    run.until("stopped at", 2)
    run.begin("continuing from")
    assert run.end() == [0, 0]


SCENARIOS: dict[str, tuple[Callable[[Run], None], bool]] = {
    "unbroken": (unbroken, True),
    "lost-and-back": (lost_and_back, True),
    "ctrl-c": (ctrl_c, True),
    "torchrun-killed": (torchrun_killed, True),
    "alone-and-back": (alone_and_back, False),
}
"""Each with whether its weights are those of an unbroken run, bit for bit: not if the number of processes changes."""


def main() -> int:
    names = sys.argv[1:] or list(SCENARIOS)
    failed, expected = [], None
    with tempfile.TemporaryDirectory() as root:
        for name in ["unbroken", *(name for name in names if name != "unbroken")]:
            scenario, exact = SCENARIOS[name]
            folder = Path(root, name)
            folder.mkdir()
            started = time.monotonic()
            with two_machines(folder) as machines:
                run = Run(folder, machines)
                try:
                    scenario(run)
                    a, b = run.weights()
                    expected = expected or a
                    notes = {"both have the same weights": same(a, b), "nothing half-written": run.is_clean()}
                    if exact:
                        notes["the bits of an unbroken run"] = same(a, expected)
                except (AssertionError, OSError) as error:
                    notes = {f"{type(error).__name__}: {error}": False}
                if not all(notes.values()):
                    failed.append(name)
                    for machine in machines:
                        print(f"--- {machine.log}\n{machine.text()[-6000:]}", file=sys.stderr)
                where = "two network namespaces" if machines[0].namespace else "one machine"
            said = "; ".join(f"{'' if fine else 'NOT '}{note}" for note, fine in notes.items())
            print(f"{name:16} {time.monotonic() - started:5.0f} s, {where}: {said}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
