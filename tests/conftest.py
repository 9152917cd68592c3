"""What all tests share: one thread, a fixed seed, and the way to the real data, the browser and visdom's page."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch starts: here, and in the processes that tests start

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ltr.common.errors import UserError
from tests.helpers.needs import pytest_collection_modifyitems, pytest_runtest_makereport

__all__ = ["pytest_collection_modifyitems", "pytest_runtest_makereport"]

# Bit-identical weights need the same number of threads everywhere, and small networks need no more.
torch.set_num_threads(1)
cv2.setNumThreads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory) -> Iterator[None]:
    """Tests remember nothing in the user's folder of what they read of data sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EBM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory) -> Iterator[Path]:
    """What `tmp_path` is to a test, for all tests of a file: its trained networks do not wait for the session's end."""
    folder = tmp_path_factory.mktemp("module")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data: $EBM_SHARED_DATA, or ../shared/data beside the repository. Skips where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("EBM_SHARED_DATA") or default)
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set EBM_SHARED_DATA to its folder")
    return path


@pytest.fixture(scope="session")
def visdom_page() -> None:
    """Skips where visdom or the scripts of its page are missing."""
    from pytracking.view.page_scripts import VisdomPackage

    try:
        missing = VisdomPackage.find().missing()
    except UserError as error:
        pytest.skip(str(error))
    if missing:
        pytest.skip("the scripts of visdom's page are not placed: bash install.sh --visdom")


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A selenium WebDriver of a headless Chromium, one for all tests: open about:blank first, to have a fresh page.

    `browser.get_log("browser")` has the console's lines since it was last read, `get_log("performance")` the requests.
    Skips where selenium, a Chromium or its chromedriver is missing.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    # The sandbox needs rights, and /dev/shm a size, that containers often do not give.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP evil.test 127.0.0.1")  # a site whose name leads to this machine
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield session
    session.quit()
