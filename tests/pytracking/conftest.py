"""A network whose box head knows nothing: enough for all that does not depend on what a head has learnt."""

from pathlib import Path

import pytest
import torch

from ltr.models.bbreg import AtomNet, AtomNetConfig, save_head


@pytest.fixture(scope="session")
def random_head(tmp_path_factory) -> Path:
    """A file like a shipped head's, for efficientnet_lite0, with random weights."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("networks") / "random.safetensors"
    save_head(AtomNet(AtomNetConfig()), file)
    return file
