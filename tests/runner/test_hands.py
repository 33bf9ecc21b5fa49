"""Both hands keep one contract; engines are found by name; a dead hand is replaced in its seat."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hashbench
from hashbench.cli.app import app
from hashbench.errors import UsageError
from hashbench.progress import no_progress
from hashbench.results.store import Failure, Store
from hashbench.runner.engines.contract import Advanced, Died, Ended, Hand, News, Tell
from hashbench.runner.engines.local import LocalEngine
from hashbench.runner.engines.lookup import find_engine
from hashbench.runner.engines.process import WorkerProcess, line_of, news_of
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.team import run_by_hands
from hashbench.runner.engines.this_process import ThisProcess
from hashbench.runner.execute import execute
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import BaseModel, DefendedModel, ModelCodes, Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]
MakeStep = Callable[..., Step]

HIRE: dict[str, Callable[[Plan, Store, Tell], Hand]] = {
    "this process": lambda _plan, store, tell: ThisProcess(store, tell),
    "a worker process": WorkerProcess,
}


@dataclass
class Told:
    """A hand, and what it tells."""

    hand: Hand
    news: queue.Queue[News] = field(default_factory=queue.Queue)

    def ended(self, step: Step) -> Ended:
        """Let it make a step to the end."""
        self.hand.start(step)
        assert self.hand.step is step
        while isinstance(found := self.news.get(timeout=120), Advanced):
            assert 0 <= found.done <= found.total
        assert isinstance(found, Ended)
        assert self.hand.step is step  # until the one who started it has heard
        self.hand.step = None
        return found


@pytest.fixture(params=HIRE)
def hire(request: pytest.FixtureRequest) -> Iterator[Callable[[Plan, Store], Told]]:
    """Makes a hand: (plan, store) -> what it tells; all of them are gone at the end."""
    made: list[Hand] = []
    before = set(threading.enumerate())

    def make(plan: Plan, store: Store) -> Told:
        news: queue.Queue[News] = queue.Queue()

        def tell(hand: Hand, what: News) -> None:
            assert hand is told.hand
            news.put(what)

        hand = HIRE[request.param](plan, store, tell)
        told = Told(hand, news)
        made.append(hand)
        return told

    yield make
    for hand in made:
        hand.kill()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=120)
        assert not thread.is_alive()


Hire = Callable[[Plan, Store], Told]


def steps_of(plan: Plan, *kinds: type[Step]) -> list[Step]:
    return [step for kind in kinds for step in plan.steps if type(step) is kind]


def test_steps_are_made_one_after_the_other_to_the_same_bytes(
    hire: Hire, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    plan, store, alone = make_plan(tiny_suite()), Store(tmp_path / "a"), Store(tmp_path / "b")
    told = hire(plan, store)
    assert told.hand.step is None
    chain = steps_of(plan, BaseModel, DefendedModel, ModelCodes)
    assert len(chain) == 3
    for step in chain:
        assert told.ended(step) == Ended(None)
        execute(step, alone, no_progress)
        made = {path.name: path.read_bytes() for path in files_of(step, store)}
        assert made == {path.name: path.read_bytes() for path in files_of(step, alone)}
        assert made


def files_of(step: Step, store: Store) -> list[Path]:
    folder = store.folder / step.address.path
    return [path for path in folder.iterdir() if path.name != "done.json"]


def test_a_failed_step_is_told_with_its_reason_and_the_hand_goes_on(
    hire: Hire, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    plan, store = make_plan(tiny_suite()), Store(tmp_path)
    told = hire(plan, store)
    base, codes = steps_of(plan, BaseModel, ModelCodes)
    failure = told.ended(codes).failure  # what it reads from was not made
    assert failure is not None
    assert "\n" not in failure.reason
    assert "Traceback" in failure.traceback
    assert not store.has(codes.address)
    assert told.ended(base) == Ended(None)


def test_a_killed_hand_drops_its_step(hire: Hire, tiny_suite: TinySuite, tmp_path: Path) -> None:
    plan, store = make_plan(tiny_suite(training={"epochs": 1_000_000, "batch": 8})), Store(tmp_path)
    told = hire(plan, store)
    (base,) = steps_of(plan, BaseModel)
    told.hand.start(base)
    assert isinstance(told.news.get(timeout=120), Advanced)
    told.hand.kill()
    told.hand.kill()  # once more does no harm
    left = [told.news.get_nowait() for _ in range(told.news.qsize())]
    assert not [news for news in left if isinstance(news, Ended)]
    assert not store.has(base.address)
    assert told.hand.exit_reason()


def test_a_killed_hand_without_a_step_is_gone(
    hire: Hire, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    told = hire(make_plan(tiny_suite()), Store(tmp_path))
    told.hand.kill()  # the fixture waits for its threads
    assert told.hand.step is None


@pytest.mark.parametrize(
    "news",
    [Advanced(3, 7), Ended(None), Ended(Failure('it broke: "so"\n', "Traceback\n ü"))],
)
def test_news_pass_through_a_line(news: Advanced | Ended) -> None:
    line = line_of(news)
    assert "\n" not in line
    assert news_of(line) == news
    for cut in range(len(line)):  # its process was killed in the middle
        assert news_of(line[:cut]) is None


@pytest.mark.parametrize("line", ["", "3", "null", "[]", "{}", '{"event": "x"}', '{"event": 1}'])
def test_a_line_that_says_nothing_is_no_news(line: str) -> None:
    assert news_of(line) is None


class Scripted(Hand):
    """Ends every step at once, or dies of it."""

    def __init__(self, seat: int, deadly: set[str], tell: Tell, log: list[tuple[int, str]]) -> None:
        self.seat, self.deadly, self.tell, self.log = seat, deadly, tell, log

    def start(self, step: Step) -> None:
        self.step = step
        self.log.append((self.seat, step.label))
        self.tell(self, Died() if step.label in self.deadly else Ended(None))

    def kill(self) -> None:
        self.log.append((self.seat, "killed"))

    def exit_reason(self) -> str:
        return f"seat {self.seat} broke"


def test_a_dead_hand_is_replaced_in_its_own_seat(make_step: MakeStep, tmp_path: Path) -> None:
    log: list[tuple[int, str]] = []
    hired: list[int] = []

    def seat(number: int) -> Callable[[Tell], Hand]:
        def hand(tell: Tell) -> Hand:
            hired.append(number)
            return Scripted(number, {"b", "d"}, tell, log)

        return hand

    steps = [make_step(name) for name in "abcdef"]
    schedule, store = Schedule(steps, ()), Store(tmp_path)
    run_by_hands(schedule, store, Reporter(), [seat(0), seat(1)])
    assert schedule.finished
    assert {step.label for step in steps if step.key in schedule.done} == set("acef")
    deaths = [(number, label) for number, label in log if label in ("b", "d")]
    assert len(deaths) == 2
    assert set(schedule.failed.values()) == {
        f"its process ended unexpectedly (seat {number} broke)" for number, _ in deaths
    }
    # One hand a seat at first, and one more for every death, where the dead one sat.
    assert sorted(hired) == sorted([0, 1, *(number for number, _ in deaths)])
    assert [entry for entry in log if entry[1] == "killed"] == [(0, "killed"), (1, "killed")]


def test_an_engine_is_found_by_its_name() -> None:
    assert isinstance(find_engine("local"), LocalEngine)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lcoal", "there is no engine 'lcoal'; did you mean 'local'? known: local"),
        ("Local", "there is no engine 'Local'; did you mean 'local'? known: local"),
        ("ray", "there is no engine 'ray'; known: local"),
    ],
)
def test_an_unknown_engine_is_refused_before_anything_is_done(
    name: str, message: str, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    with pytest.raises(UsageError) as raised:
        hashbench.run("no such suite", out=out, engine=name)
    assert str(raised.value) == message
    found = CliRunner().invoke(app, ["run", "no such suite", "--engine", name, "--out", str(out)])
    assert isinstance(found.exception, UsageError)
    assert str(found.exception) == message
    assert not out.exists()
