"""A hand on a cluster, Ray's part played by a few lines: what it tells, and when it gives up."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hashbench.results.store import Failure
from hashbench.runner.engines import ray_hand
from hashbench.runner.engines.actor import ENDED
from hashbench.runner.engines.contract import Advanced, Died, Ended, News, NoRoom, Ready
from hashbench.runner.engines.process import line_of
from hashbench.runner.engines.ray_hand import IDLE, PATIENCE, SILENCE, RayHand, reason_of
from hashbench.runner.steps import Step

MakeStep = Callable[..., Step]


class ActorDiedError(Exception):
    """As Ray's."""


class _Method:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call


class Actor:
    """Says what it is given to say; raises that instead if it is an error."""

    def __init__(self) -> None:
        self.says: queue.Queue[list[str] | Exception] = queue.Queue()
        self.told: list[str] = []
        self.start = _Method(self.told.append)
        self.listen = _Method(lambda _seconds: self.says)


class Ray:
    """The two functions of the module that a hand calls."""

    def __init__(self) -> None:
        self.killed = 0

    def get(self, says: queue.Queue[list[str] | Exception]) -> list[str]:
        said = says.get(timeout=60)
        if isinstance(said, Exception):
            raise said
        return said

    def kill(self, actor: Actor) -> None:
        self.killed += 1
        actor.says.put(ActorDiedError("The actor is dead because it was killed by `ray.kill`."))


class Scene:
    """A hand, and all that it deals with."""

    def __init__(self) -> None:
        self.ray, self.actor, self.now = Ray(), Actor(), 0.0
        self.news: queue.Queue[News] = queue.Queue()
        self.hand = RayHand(
            self.ray, lambda: self.actor, lambda _, what: self.news.put(what), clock=self.clock
        )

    def clock(self) -> float:
        return self.now

    def next(self) -> News:
        return self.news.get(timeout=60)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(ray_hand, "_GRACE", 0.0)
    made = Scene()
    yield made
    made.hand.kill()
    made.hand.thread.join(60)
    assert not made.hand.thread.is_alive()


def test_what_a_worker_says_is_told_in_its_order(scene: Scene, make_step: MakeStep) -> None:
    news: list[Ready | Advanced | Ended | NoRoom] = [
        Ready(),
        Advanced(1, 2),
        Ended(None),
        NoRoom("x"),
        Ended(Failure("broke", "T")),
    ]
    lines = [line_of(one) for one in news]
    scene.actor.says.put(lines[:2])
    scene.actor.says.put([])  # alive, and no more
    scene.actor.says.put(lines[2:])
    assert [scene.next() for _ in news] == news
    step = make_step("a")
    scene.hand.start(step)
    assert scene.hand.step is step
    assert scene.actor.told == [step.key]


def test_a_worker_that_has_ended_is_told_with_its_reason_and_its_actor_ends(scene: Scene) -> None:
    half = line_of(Ended(None))[:-3]
    scene.actor.says.put([line_of(Ready()), half, json.dumps({ENDED: "signal 9: out of memory?"})])
    assert [scene.next(), scene.next()] == [Ready(), Died()]
    assert scene.hand.exit_reason() == "signal 9: out of memory?"
    assert scene.ray.killed == 1


def test_an_actor_that_is_no_more_is_told_as_dead(scene: Scene) -> None:
    scene.actor.says.put(ActorDiedError("worker exit, unexpectedly"))
    assert scene.next() == Died()
    assert "killed" in scene.hand.exit_reason()


def test_a_hand_that_is_dismissed_tells_nothing_more(scene: Scene) -> None:
    scene.hand.kill()
    scene.hand.thread.join(60)
    assert scene.news.empty()


def test_a_hand_gives_up_where_the_cluster_has_no_room(scene: Scene, make_step: MakeStep) -> None:
    scene.hand.start(make_step("a"))
    scene.now = PATIENCE
    scene.hand.look()
    assert scene.ray.killed == 0
    scene.now = PATIENCE + 1
    scene.hand.look()
    scene.hand.look()
    assert scene.ray.killed == 1
    assert scene.next() == Died()
    assert "no room" in scene.hand.exit_reason()
    assert not scene.hand.begun


def begun(scene: Scene) -> None:
    scene.actor.says.put([line_of(Ready())])
    assert scene.next() == Ready()


def test_an_actor_without_a_word_is_given_up(scene: Scene, make_step: MakeStep) -> None:
    """Its machine hangs, or somebody stopped its process: Ray would wait for ever."""
    begun(scene)
    scene.hand.start(make_step("a"))
    scene.now = SILENCE
    scene.hand.look()
    scene.now = SILENCE + 1
    scene.hand.look()
    assert scene.next() == Died()
    assert scene.hand.exit_reason() == "its machine does not answer"


def test_an_actor_with_nothing_to_do_ends(scene: Scene, make_step: MakeStep) -> None:
    begun(scene)
    scene.hand.step = make_step("a")
    scene.now = 20.0
    scene.hand.look()
    scene.hand.step = None
    scene.now = 20.0 + IDLE
    scene.hand.look()
    assert scene.ray.killed == 0
    scene.now = 21.0 + IDLE
    scene.hand.look()
    assert scene.next() == Died()
    assert scene.hand.exit_reason() == "it had nothing to do"


def test_a_system_without_a_thread_gives_no_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    with pytest.raises(OSError, match="new thread"):
        Scene()


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("OutOfMemoryError", "Task was killed due to the node running low on memory.", "memory"),
        ("ActorDiedError", "killed by the memory monitor", "ran out of memory"),
        ("ActorDiedError", "The actor died because its node has died.", "machine is gone"),
        ("ActorUnschedulableError", "The actor cannot be scheduled", "can hold it"),
        (
            "ActorDiedError",
            (
                "The actor died because of an error raised in its creation task,\n  File x\n"
                "ModuleNotFoundError: No module named 'hashbench'\n"
            ),
            "could not be started: ModuleNotFoundError: No module named 'hashbench'",
        ),
        ("ActorDiedError", "The actor died unexpectedly before finishing this task.", "killed"),
        (
            "ActorDiedError",  # what Ray 2.60 says of a process that somebody killed
            (
                "Some common causes include: (1) the process was killed by the OOM killer due to "
                "high memory usage, (2) ray stop --force was called ... to prevent node deaths"
            ),
            "killed, or its machine is gone",
        ),
    ],
)
def test_the_reason_of_a_death_is_said_in_words(name: str, text: str, part: str) -> None:
    reason = reason_of(type(name, (Exception,), {})(text))
    assert part in reason
    assert "\n" not in reason
