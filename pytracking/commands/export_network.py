"""ebm-export-network: exports a trained network; it knows the shipped heads, and those in the workspace, by name."""

from ltr.models.bbreg import export
from pytracking.tracker.network_files import network_file


def main() -> int:
    return export.main(find=network_file)
