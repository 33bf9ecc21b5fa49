"""Large plans: what is laid out and asked once is never asked once for each step again.

No time is measured here (benchmarks/speed/planning.py does): what is counted are the looks at
plugins, files, folders and steps, which must not grow with what is planned.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from hashbench.attacking.contract import Attack
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import Spec, keyed
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.store import Store
from hashbench.results.sums import json_pieces
from hashbench.runner import fingerprint
from hashbench.runner.fingerprint import describe, described_once, sha256_of
from hashbench.runner.plan import make_plan
from hashbench.runner.remaining import LEAST, Forecast
from hashbench.runner.resolve import resolve
from hashbench.runner.run import missing_steps
from hashbench.runner.steps import Step
from hashbench.runner.stored import is_usable
from hashbench.runner.suite import compose

MakeStep = Callable[..., Step]

GRID = {
    "defense": ["none", "jpeg", "cgat"],
    "attack": ["noise", "hag:steps=3", "auto"],
    "eps": ["8/255", "16/510"],
    "bits": [8, 16],
}


@pytest.mark.parametrize("seeds", [1, 7])
def test_each_plugin_of_a_plan_is_described_once(
    seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a file of weights that it reads is read once, not once for every seed."""
    asked: Counter[str] = Counter()
    told = keyed

    def counted(plugin: Any) -> dict[str, Any]:
        asked[str(plugin.card.kind)] += 1
        return told(plugin)

    monkeypatch.setattr(fingerprint, "keyed", counted)
    make_plan(compose(None, {**GRID, "seed": list(range(seeds))}))
    assert asked["attack"] == 3
    assert asked["loss"] == asked["backbone"] == 1
    assert asked["defense"] == 3


def test_a_plan_is_the_same_as_one_whose_plugins_are_described_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def keys() -> list[str]:
        plan = make_plan(compose(None, {**GRID, "seed": [0, 1]}))
        return [plan.name, *(step.key for step in plan.steps)]

    once = keys()
    for module in ("steps", "evaluation_steps", "setting"):
        monkeypatch.setattr(f"hashbench.runner.{module}.describe", fingerprint._described)
    assert keys() == once


def test_equal_plugins_in_two_spellings_keep_their_own_words() -> None:
    first, second = (
        resolve(Kind.ATTACK, Attack, Spec.parse(text))
        for text in ("pgd-hamming:steps=3", "pgd-hamming:steps=4")
    )
    with described_once():
        known = describe(first)
        known["parameters"] = "spoilt by whoever asked"
        assert describe(first)["parameters"]["steps"] == 3
        assert describe(second)["parameters"]["steps"] == 4
    object.__setattr__(first, "steps", 5)
    assert describe(first)["parameters"]["steps"] == 5, "what was known ends with the plan"


def test_a_folder_that_holds_nothing_is_looked_at_once_for_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(compose(None, {**GRID, "seed": [0, 1, 2]}))
    looked: list[Path] = []
    listed = Path.iterdir

    def listing(folder: Path) -> Iterator[Path]:
        looked.append(folder)
        return listed(folder)

    def asked(_store: Store, address: object) -> None:
        raise AssertionError(f"{address} was looked for on its own")

    monkeypatch.setattr(Path, "iterdir", listing)
    monkeypatch.setattr(Store, "artifact", asked)
    assert missing_steps(plan, Store(tmp_path)) == list(plan.steps)
    assert len(looked) == len(set(looked)) <= len(ArtifactKind)


def test_a_folder_that_cannot_be_listed_is_asked_for_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(compose(None, {"defense": "none", "attack": "noise"}))
    asked: list[str] = []

    def refused(folder: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    def noted(step: Step, _store: Store, _known: object) -> bool:
        asked.append(step.key)
        return False

    monkeypatch.setattr(Path, "iterdir", refused)
    monkeypatch.setattr("hashbench.runner.run.is_usable", noted)
    assert missing_steps(plan, Store(tmp_path)) == list(plan.steps)
    assert sorted(asked) == sorted(step.key for step in plan.steps)
    assert not is_usable(plan.steps[0], Store(tmp_path), {})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(record=st.dictionaries(st.text(max_size=4), plain), compact=st.booleans())
def test_pieces_of_json_are_the_whole(record: dict[str, Any], compact: bool) -> None:
    marks = (",", ":") if compact else (", ", ": ")
    whole = json.dumps(record, sort_keys=True, separators=marks)
    assert b"".join(json_pieces(record, compact=compact)) == whole.encode()


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 2_500])
@pytest.mark.parametrize("kind", [list, tuple])
def test_pieces_of_a_long_list(count: int, kind: type) -> None:
    record = {"b": kind(range(count)), "a": {"nested": [1, 2]}, "c": "é"}
    assert b"".join(json_pieces(record)) == json.dumps(record, sort_keys=True).encode()
    assert all(len(piece) < 8_000 for piece in json_pieces(record))


def test_pieces_where_a_key_is_no_text() -> None:
    record: Any = {2: [1], 1: "x"}
    assert b"".join(json_pieces(record)) == json.dumps(record, sort_keys=True).encode()


@dataclass(frozen=True)
class Watched(Step):
    """A step without a model that counts how often it is asked what it reads from."""

    name: str
    before: tuple[Step, ...]
    looks: list[str]
    kind = "model"

    @property
    @override
    def setting(self) -> Any:
        raise AssertionError("it has none")

    @property
    @override
    def upstream(self) -> tuple[Step, ...]:
        self.looks.append(self.name)
        return self.before

    @property
    @override
    def label(self) -> str:
        return self.name

    @cached_property
    @override
    def key(self) -> str:
        return sha256_of(self.name)

    @override
    def described(self) -> dict[str, Any]:
        return {}


def restated(
    steps: list[Step], seconds: dict[str, float], waiting: set[str], pace: float, workers: int
) -> float:
    """What is left where nothing runs: the estimates of all that waits, at the measured pace."""
    return pace * sum(max(LEAST, seconds[one.key]) for one in steps if one.key in waiting) / workers


@pytest.mark.parametrize("seed", range(5))
def test_a_forecast_of_many_steps_is_the_sum_over_those_that_wait(seed: int) -> None:
    rng = random.Random(seed)
    looks: list[str] = []
    steps: list[Step] = []
    for number in range(3_000):
        before = tuple(rng.choice(steps[-50:]) for _ in range(rng.randint(0, 2)) if steps)
        steps.append(Watched(f"step {number}", before, looks))
    reads = {step.key: {before.key for before in step.reads} for step in steps}
    seconds = {step.key: rng.choice([0.0, 0.01, 0.7, 30.0]) for step in steps}
    clock = [0.0]
    forecast = Forecast(steps, seconds, workers=3, clock=lambda: clock[0])
    looks.clear()
    waiting = {step.key for step in steps}
    measured = estimated = 0.0
    for step in steps:
        if step.key not in waiting or len(waiting) <= 500:
            continue
        forecast.started(step)
        waiting.discard(step.key)
        clock[0] += 1.0
        chance = rng.random()
        if chance < 0.1:
            forecast.elsewhere(step)
        elif chance < 0.7:
            forecast.finished(step, 2.0)
            measured += 2.0
            estimated += max(LEAST, seconds[step.key])
        elif chance < 0.9:
            forecast.again(step)
            waiting.add(step.key)
        else:
            forecast.failed(step)
            gone = {step.key}
            for later in steps:  # each stands after what it reads from
                if reads[later.key] & gone:
                    gone.add(later.key)
            waiting -= gone
        if len(waiting) > 400:
            pace = measured / estimated if estimated else 1.0
            wanted = restated(steps, seconds, waiting, pace, 3)
            # Sums of some thousand doubles in another order: each addition rounds by 2^-53, of
            # sums that were up to 3,000 x 30 s, which what is left is a part of.
            assert forecast.left() == pytest.approx(wanted, rel=1e-9)
    # What a failure drops is known from one look at each step (`reads` asks for `upstream` twice);
    # a forecast looks at none.
    assert max(Counter(looks).values(), default=0) <= 2
