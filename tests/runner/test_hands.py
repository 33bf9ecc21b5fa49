"""Both hands keep one contract; engines are found by name; a dead hand is replaced in its seat."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hashbench
from hashbench.cli.app import app
from hashbench.errors import NoRoomError, UsageError
from hashbench.progress import no_progress
from hashbench.results.store import Failure, Store
from hashbench.results.unfinished import UnfinishedTraining
from hashbench.runner.engines.contract import (
    Advanced,
    Died,
    Ended,
    Hand,
    News,
    NoRoom,
    Ready,
    Seat,
    Tell,
)
from hashbench.runner.engines.local import LocalEngine
from hashbench.runner.engines.lookup import find_engine
from hashbench.runner.engines.process import WorkerProcess, line_of, news_of
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.team import MOST_FALSE_STARTS, run_by_hands
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
        while isinstance(found := self.news.get(timeout=120), Advanced | Ready):
            assert isinstance(found, Ready) or 0 <= found.done <= found.total
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
    while isinstance(news := told.news.get(timeout=120), Ready):
        pass
    assert isinstance(news, Advanced)
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
    [
        Ready(),
        Advanced(3, 7),
        NoRoom("a/b: no room"),
        Ended(None),
        Ended(Failure('it broke: "so"\n', "Traceback\n ü")),
    ],
)
def test_news_pass_through_a_line(news: Ready | Advanced | NoRoom | Ended) -> None:
    line = line_of(news)
    assert "\n" not in line
    assert news_of(line) == news
    for cut in range(len(line)):  # its process was killed in the middle
        assert news_of(line[:cut]) is None


@pytest.mark.parametrize("line", ["", "3", "null", "[]", "{}", '{"event": "x"}', '{"event": 1}'])
def test_a_line_that_says_nothing_is_no_news(line: str) -> None:
    assert news_of(line) is None


Deeds = dict[str, list[str]]
"""What becomes of a step at each try, by its label: done (the last word of all), dies, full."""


class Scripted(Hand):
    """Makes every step at once, or dies of it, as it is told."""

    def __init__(self, seat: int, deeds: Deeds, tell: Tell, log: list[tuple[int, str]]) -> None:
        self.seat, self.deeds, self.tell, self.log = seat, deeds, tell, log

    def start(self, step: Step) -> None:
        self.step = step
        self.log.append((self.seat, step.label))
        deeds = self.deeds.get(step.label, [])
        match deeds.pop(0) if deeds else "done":
            case "stillborn":
                self.tell(self, Died())
                return
            case "dies":
                self.tell(self, Ready())
                self.tell(self, Died())
            case "full":
                self.tell(self, NoRoom("x: cannot be written (no room)"))
            case _:
                self.tell(self, Ready())
                self.tell(self, Ended(None))

    def look(self) -> None:
        self.log.append((self.seat, "looked"))

    def kill(self) -> None:
        self.log.append((self.seat, "killed"))

    def exit_reason(self) -> str:
        return f"seat {self.seat} broke"


@dataclass
class Retold(Reporter):
    """Notes which steps were tried again, and how often they had been tried."""

    tries: list[tuple[str, int]] = field(default_factory=list)

    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        assert "broke" in reason
        assert most == 3
        self.tries.append((step.label, tried))


class Office:
    """Seats of scripted hands, and what happened there."""

    def __init__(self, folder: Path, make_step: MakeStep) -> None:
        self.store = Store(folder)
        self.make_step = make_step
        self.log: list[tuple[int, str]] = []
        self.hired: list[int] = []
        self.reporter = Retold()

    def seat(self, number: int, deeds: Deeds, *, expendable: bool = True) -> Seat:
        def hire(tell: Tell) -> Hand:
            self.hired.append(number)
            return Scripted(number, deeds, tell, self.log)

        return Seat(hire, expendable)

    def run(self, names: str, deeds: Deeds, *expendable: bool) -> Schedule:
        steps = [self.make_step(name) for name in names]
        schedule = Schedule(steps, ())
        seats = [self.seat(at, deeds, expendable=it) for at, it in enumerate(expendable)]
        run_by_hands(schedule, self.store, self.reporter, seats)
        assert schedule.finished
        self.done = {step.label for step in steps if step.key in schedule.done}
        return schedule

    def where(self, label: str) -> list[int]:
        return [seat for seat, what in self.log if what == label]


@pytest.fixture
def office(make_step: MakeStep, tmp_path: Path) -> Office:
    return Office(tmp_path, make_step)


def test_a_step_whose_hand_dies_is_tried_again_by_another(office: Office) -> None:
    office.run("abcdef", {"b": ["dies"], "d": ["dies", "dies"]}, True, True)
    assert office.done == set("abcdef")
    assert len(office.where("b")) == 2
    assert len(office.where("d")) == 3
    assert office.reporter.tries.count(("b", 1)) == 1
    assert [one for one in office.reporter.tries if one[0] == "d"] == [("d", 1), ("d", 2)]
    # One hand a seat at first, and one more for every death, where the dead one sat.
    assert len(office.hired) == 2 + 3
    assert sorted(office.where("killed")) == [0, 1]


def test_what_a_dead_hand_has_written_is_not_made_again_and_its_halves_go(
    office: Office, make_step: MakeStep
) -> None:
    """Killed after its artifact was renamed into its place, or before."""
    whole, half = make_step("a"), make_step("b")
    office.store.write(whole.address, {"x": b"x"}, {})
    place = office.store.folder / half.address.path
    for name in (f".{place.name}.12ab34cd.tmp", f".{place.name}.12ab34cd.old"):
        (place.parent / name).mkdir()
    others = place.parent / ".another-0123456789.12ab34cd.tmp"  # somebody is writing it
    others.mkdir()
    office.run("ab", {"a": ["dies"], "b": ["dies"]}, True)
    assert office.done == set("ab")
    assert (len(office.where("a")), len(office.where("b"))) == (1, 2)
    assert [path.name for path in place.parent.glob(".*")] == [others.name]


def test_a_hand_goes_on_with_the_model_that_it_worked_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models with three steps each, in the order of a plan by attacks."""
    steps = [office.make_step(name) for name in ("x1", "y1", "x2", "y2", "x3", "y3")]
    monkeypatch.setattr(type(steps[0]), "model_key", property(lambda self: self.name[0]))
    schedule = Schedule(steps, ())
    run_by_hands(schedule, office.store, office.reporter, [office.seat(0, {})])
    assert [what for _, what in office.log[:-1]] == ["x1", "x2", "x3", "y1", "y2", "y3"]


def test_a_step_that_three_hands_die_of_fails_alone(office: Office) -> None:
    schedule = office.run("abc", {"b": ["dies"] * 9}, True, True)
    assert office.done == set("ac")
    assert len(office.where("b")) == 3
    (reason,) = schedule.failed.values()
    assert reason in [
        f"its process ended unexpectedly, in each of 3 tries (seat {seat} broke)" for seat in (0, 1)
    ]


def test_a_step_that_a_hand_died_of_is_never_made_where_the_run_would_die_of_it(
    office: Office,
) -> None:
    office.run("abcdefgh", {name: ["dies", "dies"] for name in "bdf"}, False, True)
    for name in "bdf":
        tried = office.where(name)
        # The scripted death in the seat 0 stands for the end of the run: it may come first only.
        assert set(tried[1:]) <= {1}
    assert office.done == set("abcdefgh")


def test_a_training_that_comes_further_at_every_try_is_tried_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that takes its machine away every hour ends no training of a day."""
    places = iter(range(100))
    monkeypatch.setattr(UnfinishedTraining, "mark", lambda _: next(places))
    office.run("a", {"a": ["dies"] * 20}, True)
    assert office.done == {"a"}
    assert len(office.where("a")) == 21


def test_a_hand_that_dies_before_it_has_begun_counts_against_no_step(office: Office) -> None:
    office.run("ab", {"a": ["stillborn"] * 4, "b": ["stillborn"] * 5}, True, True)
    assert office.done == set("ab")
    assert {tried for _, tried in office.reporter.tries} == {0}


def test_hands_that_cannot_be_hired_cost_none_that_are_at_work(
    make_step: MakeStep, office: Office
) -> None:
    """A machine that has room for one process, where two were asked for."""

    def full(_tell: Tell) -> Hand:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    steps = [make_step(str(number)) for number in range(2 * MOST_FALSE_STARTS)]
    schedule = Schedule(steps, ())
    run_by_hands(schedule, office.store, office.reporter, [office.seat(0, {}), Seat(full)])
    assert schedule.done == {step.key for step in steps}


def test_where_no_hand_can_begin_the_run_ends_and_says_why(office: Office) -> None:
    schedule = office.run("ab", {name: ["stillborn"] * 99 for name in "ab"}, True, True)
    assert len(office.where("a")) + len(office.where("b")) <= MOST_FALSE_STARTS + 1
    assert not office.done
    for reason in schedule.failed.values():
        assert reason.startswith("no process could be started for it (seat ")


def test_where_no_other_process_can_begin_this_one_makes_the_steps(
    office: Office, make_step: MakeStep, tmp_path: Path
) -> None:
    def none(_tell: Tell) -> Hand:
        raise OSError(12, "Cannot allocate memory")

    steps = [make_step(name) for name in "abcdef"]
    schedule = Schedule(steps, ())
    seats = [office.seat(0, {}, expendable=False), Seat(none)]
    run_by_hands(schedule, Store(tmp_path), Reporter(), seats)
    assert schedule.done == {step.key for step in steps}
    assert office.hired == [0]


def test_a_full_disk_ends_the_run_at_once(office: Office) -> None:
    with pytest.raises(NoRoomError, match="x: cannot be written"):
        office.run("abcdef", {"b": ["full"]}, True)
    assert [what for _, what in office.log] == ["a", "b", "killed"]


def test_an_engine_is_found_by_its_name() -> None:
    assert isinstance(find_engine("local"), LocalEngine)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lcoal", "there is no engine 'lcoal'; did you mean 'local'? known: local, ray"),
        ("Local", "there is no engine 'Local'; did you mean 'local'? known: local, ray"),
        ("rya", "there is no engine 'rya'; did you mean 'ray'? known: local, ray"),
        ("slurm", "there is no engine 'slurm'; known: local, ray"),
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
