"""Evaluation of object detectors: COCO's metrics, the tables of the paper, contact sheets, and the comparison."""

from ltr.evaluation.detection.command import main

__all__ = ["main"]
