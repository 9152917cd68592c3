"""Sequences on a Ray cluster of two nodes, started on this machine: the same files as without one, whatever dies."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from ltr.cluster import agreement, remote_process, trainings
from ltr.cluster.connection import Cluster, connected
from ltr.cluster.remote_process import RemoteProcess
from ltr.cluster.trainings import AsHere, training_executors
from ltr.common.errors import UserError
from ltr.common.own_process import WorkerError
from pytracking.evaluation.cluster_run import FarSequences
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.running import run_dataset
from pytracking.evaluation.workers import KeptTracker, SequenceWork
from tests.helpers.evaluation_fakes import KILLED, RAISES, FakeSpec, FakeTracker, write_sequence

NO_RAY = "Ray is not installed: pip install 'ebm-regression[cluster]'"


class TwoNodes:
    """A cluster of two nodes with a core each."""

    def __init__(self):
        from ray.cluster_utils import Cluster as RayCluster

        small = {"object_store_memory": 80 * 2**20}
        self._ray = RayCluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **small}
        )
        self._small = small
        self.address = self._ray.address
        self.second = self._ray.add_node(num_cpus=1, **small)

    def kill_second(self):
        self._ray.remove_node(self.second, allow_graceful=False)

    def close(self):
        self._ray.shutdown()


@pytest.fixture(scope="module")
def two_nodes():
    pytest.importorskip("ray", reason=NO_RAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("RAY_health_check_timeout_ms", "1000")
        nodes = TwoNodes()
    yield nodes
    nodes.close()


@pytest.fixture
def run(two_nodes, tmp_path):
    """Runs the fake tracker on the cluster over all that was written to `data`."""

    def run(spec=None, ship_data=False, **options):
        dataset = get_dataset(str(tmp_path / "data"))
        with connected(Cluster(two_nodes.address, ship_data=ship_data)) as cluster:
            return run_dataset(dataset, spec or FakeSpec(), tmp_path / "cluster", cluster=cluster, **options)

    return run


def ray_executor():
    """The module, which needs Ray."""
    from ltr.cluster import executor

    return executor


def files_of(folder):
    """The result files, apart from times and the record of the run."""
    names = [file.name for file in folder.iterdir() if not file.name.startswith(".")]
    assert len([name for name in names if name.endswith("_time.txt")]) == len(names) // 2
    return {name: (folder / name).read_bytes() for name in names if not name.endswith(("_time.txt", "run.json"))}


@pytest.mark.slow
def test_the_files_are_those_of_this_machine_and_a_sequence_that_kills_workers_fails_alone(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(ray_executor(), "TRIES", 2)
    data = tmp_path / "data"
    for name in ("x", "y", "z"):
        write_sequence(data, name, 5)
    alone = run_dataset(get_dataset(str(data)), FakeSpec(), tmp_path / "alone", threads=0)
    write_sequence(data, "dies", 9, height=KILLED)
    write_sequence(data, "raises", 8, height=RAISES)
    report = run()
    assert sorted(report.finished) == ["x", "y", "z"]
    assert "ended by SIGKILL" in report.failed["dies"] and "each of 2 times" in report.failed["dies"]
    assert capsys.readouterr().out.count("dies is run again") == 1
    assert "the filter exploded (frame 3 of 8" in report.failed["raises"]
    for name in ("dies", "raises"):
        (report.folder / f"{name}.partial.txt").unlink()
    assert files_of(report.folder) == files_of(alone.folder)


def test_frames_are_sent_and_nothing_of_them_stays(run, tmp_path):
    folder = write_sequence(tmp_path / "data", "a", 5)
    write_sequence(tmp_path / "data", "b", 5)
    (folder / "img" / "0003.png").write_bytes(b"no image")
    report = run(ship_data=True, threads=1)
    assert list(report.finished) == ["b"] and str(folder / "img" / "0003.png") in report.failed["a"]
    assert "ebm_sent" not in report.failed["a"]
    assert not list(remote_process.sent_folder("x").parent.glob("ebm_sent_*"))


def test_frames_are_read_where_they_were_sent(tmp_path):
    folder = write_sequence(tmp_path / "data", "a", 5)
    (sequence,) = get_dataset(str(tmp_path / "data"))
    work = FarSequences(SequenceWork(density=False), sent=True)
    name, frames = work.files(sequence)
    RemoteProcess(None, 1).take_files(name, [(str(frame), frame.read_bytes()) for frame in frames], True)
    for frame in frames:
        frame.unlink()
    found = []
    work(KeptTracker(FakeSpec(), FakeTracker()), found.append, sequence)
    assert len(found) == 5 and not remote_process.sent_folder(name).exists()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(WorkerError, match=rf"{socket.gethostname()} does not see .*/a/img: .*--ship_data"):
        FarSequences(SequenceWork(density=False), sent=False)(None, None, sequence)


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_a_second_call_goes_on(run, tmp_path, two_nodes):
    pids, partial = tmp_path / "pids", tmp_path / "cluster" / "fake" / "still" / "long.partial.txt"
    pids.mkdir()
    write_sequence(tmp_path / "data", "short", 3)
    write_sequence(tmp_path / "data", "long", 400)  # which lasts until the other worker has come, however late
    done = partial.with_name("short.txt")
    when(lambda: done.exists() and partial.exists(), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(FakeSpec(seconds=0.1, pids=pids), threads=2)
    until(lambda: not any(Path(f"/proc/{pid.name}").exists() for pid in pids.iterdir()))
    with connected(Cluster(two_nodes.address)):
        import ray

        until(lambda: ray.available_resources().get("CPU") == 2)
    report = run(threads=1)
    assert (report.skipped, list(report.finished)) == (["short"], ["long"])


def test_a_worker_of_another_version_is_refused(run, tmp_path, monkeypatch, two_nodes):
    write_sequence(tmp_path / "data", "a", 3)
    versions = {**agreement.own_versions(), "torch": "1.0"}
    monkeypatch.setattr(ray_executor(), "own_versions", lambda: versions)
    with pytest.raises(
        UserError, match=f"{socket.gethostname()} would compute something else.*torch .* instead of 1.0"
    ):
        run()


def test_a_gpu_that_no_machine_has(run, tmp_path, two_nodes):
    write_sequence(tmp_path / "data", "a", 3)
    with pytest.raises(UserError, match="no worker with a GPU"):
        run(FakeSpec(device="cuda"))
    with connected(Cluster(two_nodes.address, gpus_per_worker=0.5)) as cluster:
        with pytest.raises(UserError, match="no worker with a GPU"):
            cluster.gpus(None, 0.25)


def save_when_told(file):
    """A call as a training is one: stopped, it saves its state."""
    try:
        file.write_text(os.environ["EBM_OTB"])
        time.sleep(60)
    except KeyboardInterrupt:
        file.write_text("saved")
        return signal.SIGINT


@pytest.mark.slow
def test_a_training_has_this_machines_folders_and_saves_when_it_is_told_to_stop(tmp_path, monkeypatch, two_nodes):
    monkeypatch.setenv("EBM_OTB", str(tmp_path))
    file = tmp_path / "state"
    with connected(Cluster(two_nodes.address)) as cluster:
        with training_executors(cluster, tmp_path / "runs", "auto", 5, None) as (jobs, make_executor):
            assert jobs == 2 and cluster.cores_each(1) == 1
            with make_executor(jobs) as executor:
                call = executor.submit(save_when_told, file)
                until(lambda: file.exists() and file.read_text() == str(tmp_path))
                executor.interrupt()
                assert call.result(30) == signal.SIGINT and file.read_text() == "saved"
    assert not list((tmp_path / "runs").iterdir())


def test_trainings_need_a_folder_that_all_machines_see(tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "_SECONDS", 0.0)
    monkeypatch.setattr(trainings.os, "chdir", lambda folder: None)
    call = AsHere({}, tmp_path, tmp_path / "token")
    with pytest.raises(WorkerError, match=f"{socket.gethostname()} does not see {tmp_path}: .*--workspace"):
        call(max, 1, 2)
    (tmp_path / "token").touch()
    assert call(max, 1, 2) == 2


def test_a_command_whose_own_node_is_lost_ends_with_a_sentence(monkeypatch, two_nodes):
    with connected(Cluster(two_nodes.address)), ray_executor().RayExecutor(1) as executor:
        monkeypatch.setattr(ray_executor().ray, "nodes", lambda: [])
        assert "has lost the node to which this command is connected" in str(executor.submit(os.getpid).exception())


@pytest.mark.slow
def test_the_sequences_of_a_node_that_dies_run_elsewhere(run, tmp_path, capsys, two_nodes):
    """The last test of this file: it leaves one node."""
    for name in ("a", "b"):
        write_sequence(tmp_path / "data", name, 30)
    folder = tmp_path / "cluster" / "fake" / "still"
    begun = [folder / f"{name}.partial.txt" for name in "ab"]
    when(lambda: all(file.exists() for file in begun), two_nodes.kill_second)
    report = run(FakeSpec(seconds=0.1))
    assert sorted(report.finished) == ["a", "b"] and not report.failed
    assert "is run again: its worker" in capsys.readouterr().out
    alone = run_dataset(get_dataset(str(tmp_path / "data")), FakeSpec(), tmp_path / "alone")
    assert files_of(folder) == files_of(alone.folder)


def when(condition, act):
    """Acts as soon as a condition holds, in a thread."""

    def watch():
        until(condition)
        act()

    threading.Thread(target=watch, daemon=True).start()


def until(condition, seconds=40.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_address_without_a_cluster(monkeypatch):
    with socket.socket() as taken:  # nothing listens there
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        pytest.importorskip("ray", reason=NO_RAY)
        for each in (address, f"ray://{address}"):
            with pytest.raises(UserError, match=f"no cluster at {each} .*ray start --head"), connected(Cluster(each)):
                pass
    for nonsense in ("here", "ray://", "host:port"):
        with pytest.raises(UserError, match="is no address"), connected(Cluster(nonsense)):
            pass


def test_without_ray_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'ebm-regression\[cluster\]'"), connected(Cluster("auto")):
        pass
