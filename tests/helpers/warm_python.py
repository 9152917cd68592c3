"""Python processes that start at once: forks of a Python that has imported PyTorch, which takes two seconds of a core.

A fork is like a new process in all but this: what PyTorch reads from the environment when it is imported
(OMP_NUM_THREADS, ATEN_CPU_CAPABILITY), it has read before; and functions given to `atexit` are not called.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Reads a request a line, forks for it, and answers with the exit code. The child leaves the loop and runs the request.
SERVER = """
import gc, json, os, runpy, sys, threading, traceback
import torch

gc.freeze()  # a collection in a child would copy all of PyTorch's pages
for line in iter(sys.stdin.readline, ""):
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()

request = json.loads(line)
for stream, file in enumerate([os.devnull, request["out"], request["err"]]):
    os.dup2(os.open(file, os.O_WRONLY if stream else os.O_RDONLY), stream)
os.environ.clear()
os.environ.update(request["env"])
os.chdir(request["cwd"])


def run(option, *arguments):
    sys.argv = list(arguments)
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if option == "-m":
        sys.path.insert(0, os.getcwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif option == "-c":
        code, sys.argv[0] = sys.argv[0], "-c"
        sys.path.insert(0, "")
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv.insert(0, option)
        sys.path.insert(0, os.path.dirname(os.path.abspath(option)))
        runpy.run_path(option, run_name="__main__")


code = 0
try:
    run(*request["arguments"])
except SystemExit as end:
    code = end.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
except BaseException:
    traceback.print_exc()
    code = 1
threading._shutdown()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code or 0)  # taking PyTorch apart takes as long as loading it
"""


TIMEOUT = 300
"""Seconds after which a process counts as hanging."""


@cache
def _server() -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", SERVER]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def _end(server: subprocess.Popen) -> None:
    """Ends the server and its child; the next call starts another."""
    _server.cache_clear()
    os.killpg(server.pid, signal.SIGKILL)


def warm_python(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Runs `python *arguments` (a script, -m or -c), and returns its exit code and what it printed.

    Args:
        arguments: those of Python.
        cwd: the folder where it runs; by default the present one.
        env: its environment; by default the present one.

    Raises:
        subprocess.TimeoutExpired: if it runs for longer than `TIMEOUT` seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("out", "err")]
        for file in files:
            file.touch()
        request = {
            "arguments": [str(a) for a in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "out": str(files[0]),
            "err": str(files[1]),
        }
        server = _server()
        timer = threading.Timer(TIMEOUT, _end, [server])
        timer.start()
        print(json.dumps(request), file=server.stdin, flush=True)
        answer = server.stdout.readline()
        timer.cancel()
        if not answer:
            raise subprocess.TimeoutExpired(request["arguments"], TIMEOUT)
        code = int(answer)
        return subprocess.CompletedProcess(request["arguments"], code, *(file.read_text() for file in files))
