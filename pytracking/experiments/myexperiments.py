"""The experiment that PyTracking's README runs; a place for yours."""

from pytracking.evaluation import Experiment, runs


def atom_nfs_uav() -> Experiment:
    """Three runs of ATOM on NFS and UAV123."""
    return Experiment(runs("atom", "default", 3), ["nfs", "uav"])
