"""What Linux tells a process of itself."""

import os
from pathlib import Path


def memory() -> int:
    """Bytes of this process in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def highest_memory() -> int:
    """Bytes of this process in memory at most. (That of getrusage begins with that of the process that started it.)"""
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def open_files() -> int:
    """Number of open files, sockets and pipes of this process."""
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    """Number of threads of this process, those of libraries included."""
    return len(os.listdir("/proc/self/task"))


def child_processes() -> int:
    """Number of processes that this one has started and that are there, also if they have ended unseen."""
    return sum(
        len(Path(f"/proc/self/task/{task}/children").read_text().split()) for task in os.listdir("/proc/self/task")
    )
