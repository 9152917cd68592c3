"""What tests need of the machine, as markers, and the promise that a machine has it.

A test that needs what a machine lacks is skipped. Where `EBM_NOT_SKIPPED="browser kernels"` promises both, a test that
needs no more than these fails when it is skipped. Continuous integration promises what it installs.
"""

import os

import pytest

NEEDS = {"browser", "cluster", "data", "gpu", "kernels", "trax", "visdom", "vot"}
OF_FIXTURES = {"browser": "browser", "two_nodes": "cluster", "shared_data": "data", "visdom_page": "visdom"}


def promised() -> set[str]:
    """Raises:
    pytest.UsageError: if $EBM_NOT_SKIPPED names what is no need of a test.
    """
    names = set(os.environ.get("EBM_NOT_SKIPPED", "").split())
    if names - NEEDS:
        raise pytest.UsageError(f"EBM_NOT_SKIPPED={' '.join(sorted(names - NEEDS))}: known are {sorted(NEEDS)}")
    return names


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use one of the fixtures of a need."""
    promised()
    for item in items:
        for fixture, need in OF_FIXTURES.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(need)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    needs = NEEDS & {mark.name for mark in item.iter_markers()}
    if report.skipped and not hasattr(report, "wasxfail") and needs and needs <= promised():
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"EBM_NOT_SKIPPED promises {' and '.join(sorted(needs))}, but the test is {reason}"
    return report
