"""The conformance kit: call one function in your own test, or `hashbench check NAME-OR-FILE`.

    from hashbench.testing import check_attack

    def test_it_keeps_the_rules() -> None:
        check_attack("my-attack").raise_failures()

It needs torch, so that `hashbench.plugins` never imports it.
"""

from __future__ import annotations

from hashbench.testing.kit import (
    ATTACK_CHECKS,
    BACKBONE_CHECKS,
    DATASET_CHECKS,
    DEFENSE_CHECKS,
    FORMAT_CHECKS,
    HASHER_CHECKS,
    LOSS_CHECKS,
    check_attack,
    check_backbone,
    check_dataset,
    check_defense,
    check_format,
    check_hasher,
    check_loss,
    check_plugin,
)
from hashbench.testing.outcome import CheckReport, Outcome, Verdict

__all__ = [
    "ATTACK_CHECKS",
    "BACKBONE_CHECKS",
    "DATASET_CHECKS",
    "DEFENSE_CHECKS",
    "FORMAT_CHECKS",
    "HASHER_CHECKS",
    "LOSS_CHECKS",
    "CheckReport",
    "Outcome",
    "Verdict",
    "check_attack",
    "check_backbone",
    "check_dataset",
    "check_defense",
    "check_format",
    "check_hasher",
    "check_loss",
    "check_plugin",
]
