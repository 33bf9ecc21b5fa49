"""Migrations: pure, and total over what the older format could hold."""

from __future__ import annotations

import copy
from typing import Any

from hashbench.plugins.card import Access
from hashbench.records import migrated
from hashbench.results.migrations import MIGRATIONS, PLAN
from hashbench.results.store import SCHEMA

ACCESS_OF_FORMAT_1 = {
    "none": Access.NONE,
    "ranked lists only": Access.RANKING,
    "codes only": Access.CODES,
    "gradient": Access.GRADIENT,
}
"""Every value that version 0.1 could write."""


def plan_of_format_1() -> dict[str, Any]:
    cells = [
        {"cell": {"attack": phrase}, "facts": {"access": phrase, "aim": "targeted"}}
        for phrase in ACCESS_OF_FORMAT_1
    ]
    return {"schema": 1, "asked": "2024", "cells": [{"cell": {}, "facts": {}}, {}, *cells]}


def test_phrases_become_codes_and_nothing_else_changes() -> None:
    before = plan_of_format_1()
    kept = copy.deepcopy(before)
    after = migrated(MIGRATIONS, PLAN, before, 1, SCHEMA)
    assert before == kept
    clean, older, *attacked = after["cells"]
    assert (clean["facts"], older["facts"]) == (None, None)
    assert [
        (Access(cell["facts"]["access"]), cell["facts"]["aim"], cell["cell"]) for cell in attacked
    ] == [(access, "targeted", {"attack": phrase}) for phrase, access in ACCESS_OF_FORMAT_1.items()]
    assert {key: value for key, value in after.items() if key != "cells"} == {
        "schema": 1,
        "asked": "2024",
    }


def test_the_newest_format_is_left_as_it_is() -> None:
    plan = {"cells": [{"facts": {"access": "codes"}}]}
    assert migrated(MIGRATIONS, PLAN, plan, SCHEMA, SCHEMA) is plan
