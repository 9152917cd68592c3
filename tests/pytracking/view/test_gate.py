"""Requests that the live view's server answers, and those that it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltr.common.errors import UserError
from pytracking.view.gate import Gate

NAMES = ("gpu07", "view.example.org", "other.example.org:8443")


def refusal(method="POST", gate=None, **headers):
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    return (gate or Gate(NAMES)).refusal(method, written)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8097"},  # a program
        {"Host": "localhost"},  # the scheme's port
        {"Host": "LOCALHOST.:8097"},
        {"Host": "localhost:8097", "Origin": "http://localhost:8097"},  # the page
        {"Host": "localhost:9000", "Origin": "http://localhost:9000"},  # through ssh's forwarding
        {"Host": "127.0.0.1:8097", "Origin": "http://127.0.0.1:8097"},
        {"Host": "[::1]:8097", "Origin": "http://[::1]:8097"},
        {"Host": "192.168.0.7:8097", "Origin": "http://192.168.0.7:8097"},  # no name leads there but this
        {"Host": "gpu07:8097", "Origin": "http://GPU07:8097"},
        {"Host": "view.example.org", "Origin": "https://view.example.org"},  # a proxy that keeps Host
        {"Host": "127.0.0.1:8097", "Origin": "https://view.example.org"},  # one that does not
        {"Host": "127.0.0.1:8097", "Origin": "https://other.example.org:8443"},
        {"Host": "localhost:8097", "Origin": "http://localhost:8097", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_the_page_and_programs_are_answered_under_all_names_of_the_server(headers):
    assert refusal(**headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8097", "Origin": "http://evil.test"},
        {"Host": "localhost:8097", "Origin": "http://localhost:3000"},  # another server of this machine
        {"Host": "localhost:8097", "Origin": "http://127.0.0.1:8097"},
        {"Host": "localhost:8097", "Origin": "http://localhost.evil.test:8097"},
        {"Host": "localhost:8097", "Origin": "http://localhost:8097.evil.test"},
        {"Host": "localhost:8097", "Origin": "http://localhost:8097@evil.test"},
        {"Host": "localhost:8097", "Origin": "null"},  # a page in a sandbox, or a file
        {"Host": "localhost:8097", "Origin": ""},
        {"Host": "localhost:8097", "Origin": "localhost:8097"},
        {"Host": "localhost:8097", "Origin": "chrome-extension://localhost:8097"},
        {"Host": "localhost:8097", "Origin": "http://view.example.org:3000"},  # another port of an allowed name
        {"Host": "evil.test:8097", "Origin": "http://evil.test:8097"},  # its name leads to this machine
        {"Host": "evil.test:8097"},
        {"Host": "127.0.0.1.evil.test:8097"},
        {"Host": "notlocalhost:8097"},
        {"Host": "gpu07.evil.test"},
        {"Host": "2130706433:8097"},  # an address, as browsers do not write it
        {"Host": "localhost:8097,evil.test"},
        {"Host": "evil.test@localhost"},
        {"Host": ""},
        {},
    ],
)
def test_other_sites_are_refused(headers):
    assert refusal(**headers)


@pytest.mark.parametrize(("mode", "dest", "answered"), [
    ("navigate", "document", True),  # a link
    ("navigate", "iframe", False),
    ("no-cors", "image", False),
    ("no-cors", "script", False),
])  # fmt: skip
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_may_link_to_the_view_and_not_include_it(site, mode, dest, answered):
    headers = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode, "Sec_Fetch_Dest": dest}
    assert (refusal("GET", Host="localhost:8097", **headers) is None) == answered
    assert refusal("GET", Host="localhost:8097", **{**headers, "Sec_Fetch_Site": "none"}) is None  # typed by the user


def test_the_refusal_says_which_option_helps():
    assert "--allow_host gpu08:8097" in refusal(Host="gpu08:8097")
    assert "--allow_host proxy.example.org" in refusal(Host="localhost", Origin="https://proxy.example.org")


def test_a_name_may_have_letters_of_any_alphabet():
    assert refusal(gate=Gate(["bücher.example"]), Host="xn--bcher-kva.example") is None


@pytest.mark.parametrize("name", ["http://host", "host/path", "a b", "", "user@host", "host:port", "x" * 70 + ".org"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UserError, match="--allow_host .*NAME:PORT"):
        Gate([name])


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_judged_in_one_line(host, origin):
    for headers in ({"Host": host}, {"Host": "localhost", "Origin": origin}):
        reason = Gate().refusal("POST", headers)
        assert reason is None or (reason.isprintable() and len(reason) < 500)
