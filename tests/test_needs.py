"""Tests that a machine promises to run fail there when they are skipped."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.fixture
def shared_data():
    pytest.skip("no data")

@pytest.mark.kernels
@pytest.mark.skipif(True, reason="no kernels")
def test_kernels():
    pass

@pytest.mark.kernels
@pytest.mark.gpu
def test_gpu():
    pytest.skip("no GPU")

@pytest.mark.kernels
@pytest.mark.xfail(reason="known")
def test_expected():
    assert False

def test_data(shared_data):
    pass

def test_other():
    pytest.skip("no reason")
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs the tests above with promises in place."""
    pytester.makeconftest("from tests.helpers.needs import pytest_collection_modifyitems, pytest_runtest_makereport")
    pytester.makeini("[pytest]\nmarkers = \n kernels\n gpu\n data\n")
    pytester.makepyfile(TESTS)

    def run(promises):
        monkeypatch.setenv("EBM_NOT_SKIPPED", promises)
        return pytester.runpytest_inprocess("-p", "no:randomly", "-rfE")

    return run


@pytest.mark.parametrize(
    "promises, failed",
    [
        ("", {}),
        ("browser", {}),
        ("kernels", {"test_kernels": "no kernels"}),
        ("kernels data", {"test_kernels": "no kernels", "test_data": "no data"}),
        ("kernels gpu", {"test_kernels": "no kernels", "test_gpu": "no GPU"}),
    ],
)
def test_what_is_promised_is_not_skipped(suite, promises, failed):
    result = suite(promises)
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", outcomes.get("error", 0)) == len(failed)
    assert outcomes["xfailed"] == 1 and outcomes["skipped"] == 4 - len(failed)
    for test, reason in failed.items():
        result.stdout.re_match_lines([f".*EBM_NOT_SKIPPED promises .* {reason}"])
        result.stdout.re_match_lines([f"(FAILED|ERROR) .*{test}"])


def test_a_promise_that_nobody_needs_is_refused(suite):
    assert "known are" in str(suite("browsers").stderr)
