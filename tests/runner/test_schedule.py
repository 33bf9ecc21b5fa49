"""The schedule: on random graphs with random failures every step ends, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.steps import Step

MakeStep = Callable[..., Step]


@dataclass(frozen=True)
class Graph:
    """A random run: per step the earlier ones that it reads from; what fails; what is stored."""

    before: tuple[tuple[int, ...], ...]
    failing: frozenset[int]
    stored: frozenset[int]
    workers: int
    order: tuple[int, ...]

    def steps(self, make_step: MakeStep) -> list[Step]:
        steps: list[Step] = []
        for number, before in enumerate(self.before):
            steps.append(make_step(f"step {number}", *(steps[index] for index in before)))
        return steps

    def doomed(self) -> set[int]:
        """What cannot be done: a failing step that is to be made, and all that needs one."""
        doomed: set[int] = set()
        for number, before in enumerate(self.before):
            if number not in self.stored and (number in self.failing or doomed & set(before)):
                doomed.add(number)
        return doomed


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(0, 10))
    some = st.frozensets(st.integers(0, max(0, size - 1)), max_size=size)
    return Graph(
        before=tuple(
            tuple(sorted(draw(st.frozensets(st.integers(0, number - 1), max_size=3))))
            if number
            else ()
            for number in range(size)
        ),
        failing=draw(some),
        stored=draw(some | st.just(frozenset())),
        workers=draw(st.integers(1, 4)),
        order=tuple(draw(st.lists(st.integers(0, 10), min_size=size, max_size=size))),
    )


@given(graph=graphs())
def test_every_step_ends_and_only_after_what_it_reads_from(
    make_step: MakeStep, graph: Graph
) -> None:
    steps = graph.steps(make_step)
    number = {step.key: index for index, step in enumerate(steps)}
    stored = {steps[index].key for index in graph.stored if index < len(steps)}
    schedule = Schedule(steps, stored)
    running: list[Step] = []
    started: list[str] = []
    ended_by: dict[str, str] = {}
    for turn in range(2 * len(steps) + 2):
        while len(running) < graph.workers and (step := schedule.next()) is not None:
            assert all(before.key in schedule.done for before in step.upstream)
            assert step.key not in stored
            started.append(step.key)
            running.append(step)
        assert schedule.running == {step.key for step in running}
        if not running:
            break
        assert not schedule.finished
        # Any of the running ones may be the next to end.
        step = running.pop(graph.order[turn % max(1, len(graph.order))] % len(running))
        if number[step.key] in graph.failing:
            reason = f"{step.label} broke"
            for dropped in schedule.fail(step, reason):
                ended_by[dropped.key] = reason
            ended_by[step.key] = reason
        else:
            schedule.succeed(step)
    assert schedule.finished
    assert schedule.next() is None
    assert len(started) == len(set(started))
    doomed = {steps[index].key for index in graph.doomed()}
    assert set(schedule.failed) == doomed
    assert schedule.done == {step.key for step in steps} - doomed | stored
    assert schedule.failed == ended_by
    for key, reason in schedule.failed.items():
        blamed = int(reason.split()[1])
        assert blamed in graph.failing
        assert blamed == number[key] or blamed in _all_before(graph, number[key])


def _all_before(graph: Graph, number: int) -> set[int]:
    reached: set[int] = set()
    todo = list(graph.before[number])
    while todo:
        index = todo.pop()
        if index not in reached:
            reached.add(index)
            todo += graph.before[index]
    return reached


@given(graph=graphs())
def test_a_step_that_can_start_is_never_kept_waiting(make_step: MakeStep, graph: Graph) -> None:
    """With workers enough, all steps whose inputs are there are given out at once."""
    steps = graph.steps(make_step)
    schedule = Schedule(steps, ())
    while not schedule.finished:
        wave = []
        while (step := schedule.next()) is not None:
            wave.append(step)
        assert wave
        given_out = {step.key for step in wave}
        for step in steps:
            ready = all(before.key in schedule.done for before in step.upstream)
            assert not ready or step.key in schedule.done | given_out
        for step in wave:
            schedule.succeed(step)
    assert schedule.done == {step.key for step in steps}


def test_a_failure_takes_what_needs_it_and_spares_the_rest(make_step: MakeStep) -> None:
    base = make_step("base")
    hard = make_step("hard", base)
    easy = make_step("easy", base)
    codes = make_step("codes of hard", hard)
    both = make_step("table", codes, easy)
    schedule = Schedule([base, hard, easy, codes, both], ())
    assert schedule.next() is base
    assert schedule.next() is None
    assert not schedule.finished
    schedule.succeed(base)
    assert schedule.next() is hard
    dropped = schedule.fail(hard, "the loss became nan")
    assert [step.label for step in dropped] == ["codes of hard", "table"]
    assert set(schedule.failed.values()) == {"the loss became nan"}
    assert schedule.next() is easy
    schedule.succeed(easy)
    assert schedule.finished


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_what_is_stored_is_not_given_out(make_step: MakeStep, stored: int) -> None:
    first = make_step("first")
    second = make_step("second", first)
    steps = [first, second]
    schedule = Schedule(steps, [step.key for step in steps[:stored]])
    given_out = []
    while (step := schedule.next()) is not None:
        given_out.append(step)
        schedule.succeed(step)
    assert given_out == steps[stored:]
