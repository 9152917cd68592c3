"""The paper's three trackers on the shipped backbone."""

from pytracking.evaluation import Experiment, runs

SYSTEMS = ("default", "atom_star", "ebm")


def otb_nfs() -> Experiment:
    """Three runs of each on OTB-100 and NFS, as Table S2 has them."""
    return Experiment([run for param in SYSTEMS for run in runs("atom", param, 3)], ["otb", "nfs"])


def generated() -> Experiment:
    """One run of each on the generated sequences, which need no data."""
    return Experiment([run for param in SYSTEMS for run in runs("atom", param)], ["generated"])
