"""The log of the live view's server, which cannot grow without bound."""

import logging

from pytracking.view.bounded_log import LINES, WIDTH, bounded_log


def test_it_has_lines_of_a_bounded_number_and_width(capsys):
    before = list(logging.getLogger().handlers)
    with bounded_log():
        for number in range(3 * LINES):
            logging.warning("%d %s\n\x1b[31m", number, "x" * 10**5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == LINES + 1 and "nothing more" in lines[-1]
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    assert logging.getLogger().handlers == before


def test_the_same_is_said_once_and_a_failure_in_one_line(capsys):
    with bounded_log():
        for _ in range(5):
            try:
                raise ValueError("a\nb")
            except ValueError:
                logging.getLogger("tornado.application").exception("Uncaught exception")
    assert capsys.readouterr().err == "Uncaught exception (ValueError: a?b)\n"


def test_a_message_that_cannot_be_formatted_does_not_end_the_server(capsys):
    with bounded_log():
        logging.warning("%d", "text")
    assert len(capsys.readouterr().err) < WIDTH
