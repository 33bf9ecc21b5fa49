"""How older formats of a folder of results become today's: pure functions on plain data.

format 1    version 0.1: a plan names access to a model by phrases
format 2    by codes; a cell's model is the last of its steps
format 3    each address and each attack stands once, a cell names its model, a plan has a number;
            records of artifacts carry their sum
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashbench.records import Migrations
from hashbench.results.artifacts import ArtifactKind

PLAN = "plan"
SCORES = "scores"
"""What `scores.json` holds."""

_ACCESS_OF_FORMAT_1: Final[Mapping[str, str]] = {
    "ranked lists only": "ranking",
    "codes only": "codes",
}


def _plan_of_format_1(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan, "cells": [_cell_of_format_1(cell) for cell in plan["cells"]]}


def _cell_of_format_1(planned: Mapping[str, Any]) -> dict[str, Any]:
    # Clean cells have empty facts; plans of before 0.1 have none at all.
    facts = planned.get("facts") or None
    if facts is not None:
        access = facts["access"]
        facts = {**facts, "access": _ACCESS_OF_FORMAT_1.get(access, access)}
    return {**planned, "facts": facts}


def _plan_of_format_2(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan, "cells": [_cell_of_format_2(cell) for cell in plan["cells"]]}


def _cell_of_format_2(planned: Mapping[str, Any]) -> dict[str, Any]:
    models = [step for step in planned.get("steps", ()) if step["kind"] == ArtifactKind.MODEL]
    return {**planned, "model": models[-1] if models else None}


MIGRATIONS: Final[Migrations] = {(PLAN, 1): _plan_of_format_1, (PLAN, 2): _plan_of_format_2}
