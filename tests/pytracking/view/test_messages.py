"""Messages and names of environments that visdom is given."""

import json
import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytracking.view.messages import MAX_NAME, BadMessageError, checked, environment_name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["eid", "prev_eid", "data", "cmd", "x"]), inner),
)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("main", "main"),
        ("training run 3", "training run 3"),
        ("🦊 Füchse", "🦊 Füchse"),
        ("a/b", "a_b"),  # as visdom's own client has it
        ("/home/user/run", "_home_user_run"),
        ("../run", "_._run"),
        ("..", "_."),
        (" .. ", "_."),
        ("", "_"),
        ("a\0b", "a_b"),
        ("\\',alert(1)//", "_',alert(1)//".replace("/", "_")),  # visdom writes names into its page's script
        ("a\u2028b\ud800", "a_b_"),
    ],
)
def test_a_name_is_that_of_a_file_in_the_server_s_folder(name, file):
    assert environment_name(name) == file


@given(st.text())
def test_no_name_leads_out_of_the_folder(name):
    try:
        written = environment_name(name)
    except BadMessageError:
        return
    assert os.path.dirname(os.path.normpath(f"/folder/{written}.json")) == "/folder"
    assert environment_name(written) == written and "\\" not in written and written.isprintable()
    assert len(f"{written}.json".encode()) <= 255


@pytest.mark.parametrize("name", [5, None, ["main"], {}, "x" * 10_000, "x" * (MAX_NAME + 1), "🦊" * (MAX_NAME // 2)])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(BadMessageError):
        environment_name(name)


@pytest.mark.parametrize(
    "content", ["", "5", "null", "{bad", "[" * 100_000, "[{}]", '"text"', "9" * 10_000, b"\xff", '{"eid": 5}']
)
def test_what_is_no_message_is_refused(content):
    with pytest.raises(BadMessageError):
        checked(content)


def test_names_are_replaced_wherever_visdom_reads_them():
    message = {"cmd": "save", "eid": "/a", "prev_eid": "../b", "win": "/w", "data": {"eid": "c/d", "target": "/w"}}
    expected = {"cmd": "save", "eid": "_a", "prev_eid": "_._b", "win": "/w", "data": {"eid": "c_d", "target": "/w"}}
    assert json.loads(checked(json.dumps(message))) == expected
    assert json.loads(checked('{"data": ["a/b", "main"]}', lists_names=True)) == {"data": ["a_b", "main"]}


def test_a_message_without_such_names_is_passed_on_as_it_is():
    content = b'{"eid":  "main", "data": [1.50]}'
    assert checked(content) is content


@given(JSON, st.booleans())
def test_any_json_is_passed_on_or_refused(content, lists_names):
    try:
        json.loads(checked(json.dumps(content), lists_names))
    except BadMessageError:
        pass
