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
            32,
            69,
            "1968913c10650c73cfda",
            "b1054c0d53e11e9290e78398a5a68a776d80591d54228aa014725583c009738a",
        ),
        (
            "controls",
            18,
            49,
            "f7333cdb8a5d7446cd3a",
            "ed242a7038154cd4e25744c4d167527d37fac2839c24e021980c569c25751db3",
        ),
        (
            "transformations",
            16,
            41,
            "981d226f225a1ef8aa00",
            "e586feea778483dc10e30a804b0812d32f843709332125e6f461e2e2da72c347",
        ),
    ],
)
def test_the_keys_of_a_suite(suite: str, cells: int, count: int, name: str, keys: str) -> None:
    plan = make_plan(compose(suite, {}))
    assert (len(plan.cells), len(plan.steps), plan.name) == (cells, count, name)
    joined = "".join(step.key for step in plan.steps)
    assert hashlib.sha256(joined.encode()).hexdigest() == keys
