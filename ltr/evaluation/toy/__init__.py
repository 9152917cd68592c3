"""The toy problem of Appendix B: divergence from the truth, the report of a training, tables, and the comparison."""

from ltr.evaluation.toy.command import main

__all__ = ["main"]
