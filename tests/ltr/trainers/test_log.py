"""The log of a training on a full disk."""

import errno
import threading

from ltr.trainers.log import TrainingLog


def test_curves_that_cannot_be_written_do_not_end_the_training(tmp_path, caplog, capfd):
    hook = threading.excepthook
    log = TrainingLog(tmp_path, 0, enabled=True)
    log.scalars("train", {"loss": 1.0}, 1)
    log.writer.flush()

    def full(data):
        raise OSError(errno.ENOSPC, "No space left on device")

    log.writer.file_writer.event_writer._async_writer._writer.write = full
    log.scalars("train", {"loss": 1.0, "lr": 1.0}, 2)
    log.writer.file_writer.event_writer._async_writer._worker.join(10)
    log.scalars("train", {"loss": 1.0}, 3)
    log.epochs([{"epoch": 1}])
    log.scalars("train", {"loss": 1.0}, 4)
    log.close()
    assert "tensorboard cannot be written from here on: No space left on device" in caplog.text
    assert caplog.text.count("cannot be written") == 1 and "Traceback" not in capfd.readouterr().err
    assert (tmp_path / "log.jsonl").read_text() == '{"epoch": 1}\n'
    assert threading.excepthook == hook
