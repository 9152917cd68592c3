"""Machines on which torchrun is started: network namespaces where this user may make some, else ports of this one."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.ports import free_port
from tests.helpers.process_tree import descendants

ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """A machine; torchrun and what it starts there.

    Args:
        number: of the machine; the first, 0, is where the machines meet.
        log: file that has what is printed there.
        address: of the machine, as the others know it.
        meeting: address and port of the first.
        namespace: network namespace, if it has one.
        interface: the network interface that leads to the others.
    """

    def __init__(
        self, number: int, log: Path, address: str, meeting: str, namespace: str | None, interface: str
    ) -> None:
        self.number, self.log, self.address, self.meeting = number, log, address, meeting
        self.namespace, self.interface = namespace, interface
        self.agent: subprocess.Popen | None = None

    def start(self, machines: str, module: str, *arguments: str, restarts: int = 0) -> None:
        """Starts torchrun, with one process, for as many `machines` as '2' or '1:2' says."""
        within = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        options = [f"--nnodes={machines}", "--nproc-per-node=1", f"--max-restarts={restarts}", "--rdzv-id=test"]
        options += ["--rdzv-backend=c10d", f"--rdzv-endpoint={self.meeting}", f"--local-addr={self.address}"]
        options += [f"--rdzv-conf=is_host={int(self.number == 0)},last_call_timeout=3", "--monitor-interval=0.1"]
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
            "TQDM_DISABLE": "1", "GLOO_SOCKET_IFNAME": self.interface, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }  # fmt: skip
        command = [*within, sys.executable, "-m", "torch.distributed.run", *options, "-m", module, *arguments]
        with open(self.log, "a") as file:
            self.agent = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, cwd=ROOT, start_new_session=True
            )

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def kill(self) -> None:
        """The machine loses its power: all its processes are gone at once."""
        assert self.agent is not None
        for pid in [self.agent.pid, *descendants(self.agent.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.agent.wait()

    def signal(self, number: int) -> None:
        """Sends torchrun a signal."""
        assert self.agent is not None
        self.agent.send_signal(number)

    def wait(self, seconds: float = 120) -> int:
        """The exit code of torchrun."""
        assert self.agent is not None
        return self.agent.wait(seconds)


@contextlib.contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines; what still runs on them at the end is killed."""
    with contextlib.ExitStack() as stack:
        apart = _two_namespaces(stack)
        addresses = ("10.211.77.1", "10.211.77.2") if apart else ("127.0.0.1", "127.0.0.1")
        port = 29500 if apart else free_port()
        first, second = (
            Machine(
                k, folder / f"machine{k}.log", addresses[k], f"{addresses[0]}:{port}",
                apart[k] if apart else None, f"{apart[k]}v" if apart else "lo",
            )
            for k in (0, 1)
        )  # fmt: skip
        for machine in (first, second):
            stack.callback(lambda machine=machine: machine.agent and machine.agent.poll() is None and machine.kill())
        yield first, second


def _two_namespaces(stack: contextlib.ExitStack) -> list[str]:
    """Names of two network namespaces that a cable joins; none if this user cannot make them."""
    if os.geteuid() or not shutil.which("ip"):
        return []
    names = [f"ebm{os.getpid() % 10**6}{letter}" for letter in "ab"]
    commands = [f"netns add {name}" for name in names]
    commands.append(f"link add {names[0]}v netns {names[0]} type veth peer name {names[1]}v netns {names[1]}")
    for k, name in enumerate(names):
        commands += [f"-n {name} addr add 10.211.77.{k + 1}/24 dev {name}v", f"-n {name} link set {name}v up"]
        commands.append(f"-n {name} link set lo up")
        stack.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
    done = all(subprocess.run(["ip", *command.split()], capture_output=True).returncode == 0 for command in commands)
    return names if done else []
