"""Keys of known suites, to the byte: planning may become faster, what is stored stays found.

What the code's own hashes add is left out, since they change with it: what is held here is how a
suite becomes cells, steps, and what their keys are made of.
"""

from __future__ import annotations

import hashlib

import pytest

from hashbench.runner import evaluation_steps, fingerprint, steps
from hashbench.runner.plan import make_plan
from hashbench.runner.suite import compose


@pytest.fixture(autouse=True)
def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for described in (steps, evaluation_steps):
        monkeypatch.setattr(described, "code_of", lambda *rooms, files=(): [*rooms, *files])
    monkeypatch.setattr(evaluation_steps, "file_hash", lambda name: name)
    monkeypatch.setattr(fingerprint, "source_hash", lambda plugin: plugin.card.name)


@pytest.mark.parametrize(
    ("suite", "cells", "count", "name", "keys"),
    [
        (
            "quick",
            21,
            49,
            "53ff7992d3598be0140c",
            "de07c30838c95f6643d5c9206aac59281253f195ec1caff4289e6a4314095db2",
        ),
        (
            "controls",
            18,
            49,
            "1a77c8e8e133c72716e9",
            "1c6385276a2540b3ae0b2a5ff35baafc652c65ec2ce30fb5342768bcad939280",
        ),
        (
            "transformations",
            16,
            41,
            "871b7a48ba70bc8ae5c9",
            "2114c40b78933b8b1bdc3e36a46ed6c56018e033c3046cccb499d2092b92698e",
        ),
    ],
)
def test_the_keys_of_a_suite(suite: str, cells: int, count: int, name: str, keys: str) -> None:
    plan = make_plan(compose(suite, {}))
    assert (len(plan.cells), len(plan.steps), plan.name) == (cells, count, name)
    joined = "".join(step.key for step in plan.steps)
    assert hashlib.sha256(joined.encode()).hexdigest() == keys
