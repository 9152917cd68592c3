"""Scoring rules by benchmark: what frames without a visible target count as.

Published tables follow PyTracking here. Its newest code divides by all frames of a sequence, whatever the benchmark
(an earlier one divided by the valid frames, but for LaSOT and UAV123), and gives a frame without a target errors that
make it a failure or a hit. `--exclude_invalid` leaves such frames out.
"""

from __future__ import annotations

from dataclasses import dataclass

HIT, FAILURE = -1.0, float("inf")
"""Errors of the centre that lie within, or beyond, every threshold."""


@dataclass(frozen=True)
class Rule:
    """What a frame counts as whose target is absent. In success it is a failure in every benchmark.

    Attributes:
        absent_center: the centre error where the annotation has no box.
        absent_norm: the normalised centre error there.
        uses_visibility: where the benchmark says that the target is not visible, it counts as absent, whatever its box.
        hidden_center, hidden_norm: the two errors there.
    """

    absent_center: float = FAILURE
    absent_norm: float = HIT
    uses_visibility: bool = False
    hidden_center: float = FAILURE
    hidden_norm: float = HIT

    def absent_counts_as(self) -> str:
        """In words, what a frame without a visible target counts as."""
        errors = {
            "precision": self.hidden_center if self.uses_visibility else self.absent_center,
            "normalised precision": self.hidden_norm if self.uses_visibility else self.absent_norm,
        }
        failures = ["success", *(name for name, error in errors.items() if error == FAILURE)]
        hits = [name for name, error in errors.items() if error == HIT]
        text = f"failures in {' and '.join(failures) if hits else 'all measures'}"
        return text + (f", hits in {' and '.join(hits)}" if hits else "")


DEFAULT_RULE = Rule()

RULES = {
    "otb": DEFAULT_RULE,
    "uav": Rule(absent_center=HIT),
    "lasot": Rule(uses_visibility=True, hidden_norm=FAILURE),
    "lasot_extension_subset": Rule(uses_visibility=True),
    "got10k": DEFAULT_RULE,
    "trackingnet": DEFAULT_RULE,
}
"""By the `scoring` of a sequence. (PyTracking knows LaSOT's stricter rule by the name 'lasot' alone, so that its
extension has the hits of all others, and so do published tables.)"""


def rule_of(scoring: str) -> Rule:
    """The rule of a benchmark; OTB's for one that has none of its own."""
    return RULES.get(scoring, DEFAULT_RULE)
