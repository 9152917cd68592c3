"""Results on disk as soon as they are computed."""

import threading
from dataclasses import dataclass

from ltr.evaluation.line_log import LineLog


@dataclass(frozen=True)
class Square:
    number: int
    square: int


def squares(folder):
    return LineLog(folder / "squares", Square, "number", {"of": "numbers"})


def test_what_a_killed_process_left_is_continued(tmp_path):
    with squares(tmp_path) as log:
        log.append(Square(2, 4))
    with open(log.path, "a") as file:
        file.write('{"number": 3, "squ')
    with squares(tmp_path) as log:
        assert 2 in log and 3 not in log
        log.append(Square(3, 9))
    assert log.path.read_text().splitlines()[1:] == ['{"number": 2, "square": 4}', '{"number": 3, "square": 9}']
    assert list(tmp_path.iterdir()) == [log.path]


def test_two_at_once_compute_nothing_twice(tmp_path, caplog):
    """The half line that one is writing is not taken for that of a killed process."""
    found, second = [], threading.Event()

    def other():
        second.set()
        with squares(tmp_path) as log:
            found.extend([log[1], log[2]])

    thread = threading.Thread(target=other)
    with squares(tmp_path) as log:
        log.append(Square(1, 1))
        log._file.write(b'{"number": 2, ')
        log._file.flush()
        thread.start()
        second.wait()
        thread.join(0.2)
        log._file.write(b'"square": 4}\n')
    thread.join()
    assert found == [Square(1, 1), Square(2, 4)] and "waiting for another process" in caplog.text
