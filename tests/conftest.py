"""What all tests share: a fixed seed, and the way to the real data."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data: $EBM_SHARED_DATA, or ../shared/data beside the repository. Skips where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("EBM_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set EBM_SHARED_DATA to its folder")
    return path
