"""Where the real data of the tests are."""

import os
from pathlib import Path


def real_data() -> Path:
    """The folder that EBM_SHARED_DATA names, or ../shared/data beside the repository; it need not exist."""
    return Path(os.environ.get("EBM_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
