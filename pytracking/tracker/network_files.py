"""The files of trained networks."""

from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import UserError

SHIPPED = Path(__file__).resolve().parent.parent / "networks"
"""Folder of the heads that this package carries."""


def network_file(network: str) -> Path:
    """The file of a network: a path, the name of a shipped head, or a file in {workspace}/networks; suffix optional.

    Raises:
        UserError: if none of these exists; the message names the folders that were searched.
    """
    if Path(network).expanduser().is_file():
        return Path(network).expanduser()
    folders = [SHIPPED, get_path("workspace") / "networks"]
    for folder in folders:
        for ending in ("", ".safetensors", ".pth", ".pth.tar"):
            if (folder / f"{network}{ending}").is_file():
                return folder / f"{network}{ending}"
    raise UserError(
        f"there is no network {network!r}, neither as a file nor in {' or '.join(map(str, folders))}; train it with "
        "ebm-train or name a checkpoint by --network FILE"
    )
