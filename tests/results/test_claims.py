"""Claims: one run makes a step; the dead hold nothing; no clock of another machine is believed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from hashbench.errors import UsageError, WriteError
from hashbench.results import claim_files
from hashbench.results.claim_files import Claim, ClaimFiles, each
from hashbench.results.claims import LEASE, Claims, lease_of_surroundings
from hashbench.results.holders import Holder, this_process

KEY = "0123456789abcdef" * 4
NAME = KEY[:20]
HOUR = 3600.0


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


ELSEWHERE = Holder("far", "another start, pid:[1]", 1, "1")
"""A process of another machine."""

GONE = replace(this_process(), began="1")
"""One that had the number of this process before it: process 1 began before, and lives."""


def files_in(store: Path) -> list[str]:
    folder = store / "claims"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Claims]]:
    """Makes the claims of a run: (lease=10, holder=...) -> claims; their hearts do not beat."""
    made: list[Claims] = []

    def build(lease: float = 10.0, holder: Holder | None = None) -> Claims:
        claims = Still(tmp_path, lease=lease, clock=clock, holder=holder)
        made.append(claims)
        return claims

    yield build
    for claims in made:
        claims.close()


class Still(Claims):
    """Renews when it is told to."""

    @override
    def _beat(self) -> None:
        pass


def test_a_claim_is_one_runs_until_it_is_released(
    make: Callable[..., Claims], tmp_path: Path
) -> None:
    first, second = make(), make()
    assert first.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.1.json"]
    assert not second.is_free(KEY)
    assert not second.take(KEY, "train")
    assert first.keeps(KEY)
    assert not second.keeps(KEY)
    assert second.take("f" * 64, "another step")
    (own,) = [claim for claim in second.others() if claim.name == NAME]
    assert (own.label, own.holder) == ("train", this_process())
    assert first.release(KEY)
    assert second.is_free(KEY)
    assert second.take(KEY, "train")
    second.close()
    assert files_in(tmp_path) == []
    assert not (tmp_path / "claims").exists()


def test_a_process_that_is_gone_holds_nothing(make: Callable[..., Claims], tmp_path: Path) -> None:
    """At once, though its claim was renewed just now; what it held is taken away."""
    dead = make(holder=GONE)
    assert dead.take(KEY, "train")
    dead.renew()
    run = make()
    assert run.is_free(KEY)
    assert run.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.2.json"]
    dead.renew()
    assert not dead.keeps(KEY)
    assert not dead.release(KEY)
    assert files_in(tmp_path) == [f"{NAME}.2.json"]  # what is not its own stays


@pytest.mark.parametrize("hours", [0, -5, 7])
def test_another_machine_is_believed_for_a_lease_whatever_its_clock_says(
    make: Callable[..., Claims], tmp_path: Path, clock: Clock, hours: float
) -> None:
    far, run = make(lease=30.0, holder=ELSEWHERE), make(lease=5.0)
    assert far.take(KEY, "train")
    path = tmp_path / "claims" / f"{NAME}.1.json"

    def renewed_at(seconds: float) -> None:
        os.utime(path, (seconds + hours * HOUR, seconds + hours * HOUR))

    began = time.time()
    renewed_at(began)
    assert not run.take(KEY, "train")  # from here on it is watched
    for beat in range(1, 8):
        clock.now += 29.0
        renewed_at(began + beat)
        assert not run.take(KEY, "train")
    clock.now += 29.9
    assert not run.take(KEY, "train")
    clock.now += 0.2
    assert run.is_free(KEY)
    assert run.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.2.json"]


def test_a_run_that_was_suspended_finds_its_claim_gone_and_harms_nobody(
    make: Callable[..., Claims], tmp_path: Path, clock: Clock
) -> None:
    suspended, run = make(), make()
    assert suspended.take(KEY, "train")
    assert not run.take(KEY, "train")
    clock.now += 10.0
    assert run.take(KEY, "train")
    suspended.renew()
    assert not suspended.keeps(KEY)
    assert not suspended.release(KEY)
    run.renew()
    assert run.keeps(KEY)
    assert run.release(KEY)
    assert files_in(tmp_path) == []


def test_one_that_wakes_up_before_anybody_took_over_goes_on(
    make: Callable[..., Claims], clock: Clock
) -> None:
    suspended, run = make(), make()
    assert suspended.take(KEY, "train")
    assert not run.is_free(KEY)
    clock.now += 10.0
    suspended.renew()
    assert not run.take(KEY, "train")
    assert suspended.release(KEY)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "precious").write_text("it was only in the way")


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "a list": lambda path: path.write_bytes(b"[1]"),
    "deep": lambda path: path.write_bytes(b"[" * 10_000),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\xfd"),
    "huge": lambda path: path.write_bytes(b"x" * 2**20),
    "other types": lambda path: path.write_bytes(
        b'{"run": 5, "pid": "x", "lease": "1", "host": [], "began": null}'
    ),
    "numbers without sense": lambda path: path.write_bytes(
        b'{"pid": 100000000000000000000, "lease": NaN, "machine": "x"}'
    ),
    "a lease without end": lambda path: path.write_bytes(b'{"lease": 1e999}'),
    "a lease of many digits": lambda path: path.write_bytes(b'{"lease": 1' + b"0" * 400 + b"}"),
    "a folder": folder,
    "a link": link,
    "a pipe": pipe,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_claim_holds_for_a_lease_and_no_longer(
    make: Callable[..., Claims], tmp_path: Path, clock: Clock, damage: str
) -> None:
    owner, run = make(holder=ELSEWHERE), make()
    assert owner.take(KEY, "train")
    DAMAGE[damage](tmp_path / "claims" / f"{NAME}.1.json")
    assert not run.take(KEY, "train")
    owner.renew()
    assert not owner.keeps(KEY)
    clock.now += HOUR
    assert run.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.2.json"]


def test_names_that_are_no_claims_are_passed_over(
    make: Callable[..., Claims], tmp_path: Path
) -> None:
    (tmp_path / "claims").mkdir()
    for name in (f"{NAME}.0.json", f"{NAME}.json", f"{NAME}.01.json", ".x.tmp", "A.1.json"):
        (tmp_path / "claims" / name).write_text("{}")
    run = make()
    assert run.others() == []
    assert run.take(KEY, "train")
    run.sweep()
    assert ".x.tmp" not in files_in(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    make: Callable[..., Claims], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.link

    def no_link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    run = make()
    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(WriteError, match=rf"claims/{NAME}\.1\.json: cannot be written") as raised:
        run.take(KEY, "train")
    assert raised.value.no_room == (number != errno.EIO)
    assert files_in(tmp_path) == []
    monkeypatch.setattr(os, "link", real)
    assert run.take(KEY, "train")


def test_a_file_system_without_links(
    make: Callable[..., Claims], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    first, second = make(), make()
    assert first.take(KEY, "train")
    assert not second.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.1.json"]
    assert not claim_files._new(tmp_path / "claims" / f"{NAME}.1.json", b"")


def test_a_server_that_was_asked_twice_gave_the_claim_all_the_same(
    make: Callable[..., Claims], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def twice(*names: Path) -> None:
        real(*names)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", twice)
    assert make().take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.1.json"]


def test_a_folder_that_another_run_took_away_is_made_again(
    make: Callable[..., Claims], tmp_path: Path
) -> None:
    class Fleeting(ClaimFiles):
        @override
        def numbers(self, name: str) -> list[int]:
            found = super().numbers(name)
            self.tidy()
            return found

    run = make()
    assert run.take(KEY, "train")
    run.release(KEY)
    other = Still(tmp_path, files=Fleeting(tmp_path))
    assert other.take(KEY, "train")
    other.close()


class Interrupted(ClaimFiles):
    """Other runs come in between, before and behind the writing of a claim."""

    def __init__(
        self,
        store: Path,
        before: Callable[[], object] = lambda: None,
        behind: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(store)
        self.before, self.behind = before, behind

    @override
    def make(self, claim: Claim) -> bool:
        self.before()
        made = super().make(claim)
        self.behind()
        return made


def test_a_number_that_is_free_again_gives_no_second_holder(
    make: Callable[..., Claims], tmp_path: Path
) -> None:
    """One run wants to follow a dead claim; until it writes, another did so, was done, and left.

    Then a third holds the first number, which is free, and the second one is free as well.
    """
    dead, quick, third = make(holder=GONE), make(), make()
    assert dead.take(KEY, "train")

    def meanwhile() -> None:
        assert quick.take(KEY, "train")
        assert files_in(tmp_path) == [f"{NAME}.2.json"]
        assert quick.release(KEY)
        assert third.take(KEY, "train")
        assert files_in(tmp_path) == [f"{NAME}.1.json"]

    slow = Still(tmp_path, files=Interrupted(tmp_path, before=meanwhile))
    assert not slow.take(KEY, "train")
    assert files_in(tmp_path) == [f"{NAME}.1.json"]
    assert third.release(KEY)


def test_who_comes_back_while_it_is_taken_for_dead_keeps_its_claim(
    make: Callable[..., Claims], tmp_path: Path, clock: Clock
) -> None:
    suspended = make()
    assert suspended.take(KEY, "train")
    run = Still(
        tmp_path, lease=10.0, clock=clock, files=Interrupted(tmp_path, behind=suspended.renew)
    )
    assert not run.take(KEY, "train")
    clock.now += 10.0
    assert not run.take(KEY, "train")
    assert suspended.release(KEY)


def test_of_two_that_follow_a_dead_claim_at_once_one_holds_it(
    make: Callable[..., Claims], tmp_path: Path
) -> None:
    dead, quick = make(holder=GONE), make()
    assert dead.take(KEY, "train")
    slow = Still(tmp_path, files=Interrupted(tmp_path, before=lambda: quick.take(KEY, "train")))
    assert not slow.take(KEY, "train")
    assert quick.release(KEY)


def test_claims_of_the_dead_are_swept_and_others_stay(
    make: Callable[..., Claims], tmp_path: Path, clock: Clock
) -> None:
    dead, far, run = make(holder=GONE), make(holder=ELSEWHERE), make()
    assert dead.take("a" * 64, "train")
    assert far.take("b" * 64, "train")
    assert run.take("c" * 64, "train")
    assert [claim.name for claim in run.others()] == ["b" * 20]
    run.sweep()
    assert files_in(tmp_path) == [f"{'b' * 20}.1.json", f"{'c' * 20}.1.json"]
    clock.now += 10.0
    run.sweep()
    assert files_in(tmp_path) == [f"{'c' * 20}.1.json"]


def test_a_heart_renews_what_is_held(tmp_path: Path) -> None:
    claims = Claims(tmp_path, lease=0.2)
    assert claims.take(KEY, "train")
    files, deadline = ClaimFiles(tmp_path), time.monotonic() + 60
    marks: set[tuple[str, int]] = set()
    while len(marks) < 4:
        (claim,) = each(files)
        marks.add(claim.mark)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    claims.close()
    assert files_in(tmp_path) == []


def test_one_at_a_time_where_several_wait(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        claims = Claims(tmp_path)
        for _ in range(5):
            with claims.waiting("plans", "a number"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)
        claims.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


@pytest.mark.parametrize("said", ["0", "-1", "x", "nan", "inf", "1e9", "3601", "0.01"])
def test_a_lease_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(LEASE, said)
    with pytest.raises(UsageError, match=f"HASHBENCH_LEASE is '{said}', but must be a number"):
        lease_of_surroundings()


@pytest.mark.parametrize(("said", "seconds"), [("", 60.0), ("0.1", 0.1), (" 300 ", 300.0)])
def test_a_lease_is_taken_from_the_surroundings(
    monkeypatch: pytest.MonkeyPatch, said: str, seconds: float
) -> None:
    monkeypatch.setenv(LEASE, said)
    assert lease_of_surroundings() == seconds


# --- holders


needs_proc = pytest.mark.skipif(not this_process().machine, reason="a system without /proc")


@needs_proc
def test_a_process_knows_itself_and_one_that_had_its_number_before() -> None:
    here = this_process()
    assert here.pid == os.getpid()
    assert not here.is_gone(here)
    assert replace(here, began=str(int(here.began) - 1)).is_gone(here)


@needs_proc
def test_a_process_that_ended_is_gone_whether_its_parent_asked_or_not() -> None:
    here = this_process()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    holder = replace(here, pid=child.pid, began=stat[19])
    assert not holder.is_gone(here)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert holder.is_gone(here)
    child.communicate()
    assert holder.is_gone(here)


@pytest.mark.parametrize(
    "holder",
    [
        ELSEWHERE,
        Holder(),
        replace(GONE, machine=""),
        replace(GONE, machine=GONE.machine + "0"),  # a container of the same machine
        replace(GONE, pid=0),
        replace(GONE, pid=-1),
        replace(GONE, pid=2**40),
    ],
)
def test_of_what_cannot_be_known_nobody_is_gone(holder: Holder) -> None:
    assert not holder.is_gone(this_process())


def test_a_hidden_process_is_not_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = this_process()
    monkeypatch.setattr("hashbench.results.holders._PROC", tmp_path)
    assert not replace(here, machine="x", began="0").is_gone(replace(here, machine="x"))
    assert this_process().machine == ""


def test_the_file_of_a_claim_comes_back(tmp_path: Path) -> None:
    claim = Claim(
        NAME, 3, run="r", holder=this_process(), label="a\ud800b" + "c" * 1000, since="s", lease=7.0
    )
    assert ClaimFiles(tmp_path).make(claim)
    (found,) = each(ClaimFiles(tmp_path))
    assert found.holder == claim.holder
    assert (found.run, found.since, found.lease, found.number) == ("r", "s", 7.0, 3)
    assert found.label.startswith("a?bc")
    assert json.loads((tmp_path / "claims" / f"{NAME}.3.json").read_text())["pid"] == os.getpid()


# --- every order of what several runs do


class Killed(BaseException):
    """A run that is killed just here."""


@dataclass
class World:
    """A store in memory, and runs that are let go on one by one, by one call on it each.

    Attributes:
        claims: by name and number, with how often each was renewed.
        dead: runs that were killed.
        tick: the time.
    """

    claims: dict[tuple[str, int], tuple[Claim, int]] = field(default_factory=dict)
    artifacts: dict[str, int] = field(default_factory=dict)
    makers: dict[str, list[int]] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    tick: int = 0
    wrong: list[str] = field(default_factory=list)

    def renew(self) -> None:
        """A moment passes: the hearts of the living beat."""
        self.tick += 1
        for place, (claim, beats) in self.claims.items():
            if claim.holder.pid not in self.dead:
                self.claims[place] = (claim, beats + 1)


@dataclass(frozen=True)
class Known(Holder):
    """A process of the world: whether it is gone is known on its own machine."""

    world: World = field(default_factory=World)

    @override
    def is_gone(self, seen_from: Holder) -> bool:
        return self.machine == seen_from.machine and self.pid in self.world.dead


class Memory(ClaimFiles):
    """The files of a world, as one run sees them: every call waits for its turn."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.run = run

    @override
    def all(self) -> list[tuple[str, int]]:
        self.run.wait()
        return sorted(self.world.claims)

    @override
    def look(self, name: str, number: int) -> Claim | None:
        self.run.wait()
        found = self.world.claims.get((name, number))
        return None if found is None else replace(found[0], mark=(found[0].run, found[1]))

    @override
    def make(self, claim: Claim) -> bool:
        self.run.wait()
        place = (claim.name, claim.number)
        if place in self.world.claims:
            return False
        self.world.claims[place] = (claim, 0)
        return True

    @override
    def delete(self, claim: Claim) -> None:
        self.run.wait()
        found = self.world.claims.get((claim.name, claim.number))
        if found is not None and found[0].run == claim.run:
            del self.world.claims[claim.name, claim.number]

    @override
    def tidy(self) -> None:
        pass


class Run(threading.Thread):
    """One run: makes every step, or waits until another has."""

    def __init__(self, world: World, number: int, machine: str, keys: list[str]) -> None:
        super().__init__(daemon=True)
        self.world, self.number, self.keys = world, number, keys
        self.turn, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.over = False
        holder = Known("", machine, number, "", world=world)
        self.claims = Still(
            Path(),
            lease=12.0,
            clock=lambda: float(world.tick),
            files=Memory(world, self),
            holder=holder,
        )

    def wait(self) -> None:
        """Until this run is let go on."""
        self.done.release()
        self.turn.acquire()
        if self.number in self.world.dead:
            raise Killed

    def go_on(self) -> None:
        """Let it make one call."""
        self.turn.release()
        self.done.acquire()

    @override
    def run(self) -> None:
        try:
            self.wait()
            waiting = list(self.keys)
            while waiting:
                for key in list(waiting):
                    if not self.claims.take(key, ""):
                        continue
                    if key not in self.world.artifacts:
                        self.make(key)
                    self.claims.release(key)
                    waiting.remove(key)
                self.wait()
        except Killed:
            pass
        except BaseException as error:
            self.world.wrong.append(repr(error))
        self.over = True
        self.done.release()

    def make(self, key: str) -> None:
        """Takes several moments, in which nobody else may make the same."""
        world, makers = self.world, self.world.makers.setdefault(key, [])
        makers.append(self.number)
        for _ in range(3):
            alive = [number for number in makers if number not in world.dead]
            if alive != [self.number]:
                world.wrong.append(f"{alive} make {key}")
            self.wait()
        makers.remove(self.number)
        world.artifacts[key] = world.artifacts.get(key, 0) + 1


@settings(max_examples=150, deadline=None)
@given(
    machines=st.lists(st.sampled_from("ab"), min_size=2, max_size=4),
    steps=st.integers(1, 2),
    order=st.lists(st.integers(0, 3), max_size=150),
    kills=st.dictionaries(st.integers(0, 150), st.integers(0, 3), max_size=3),
)
def test_in_whatever_order_runs_act_and_die_each_step_is_made_once(
    machines: list[str], steps: int, order: list[int], kills: dict[int, int]
) -> None:
    """Runs of two machines, of which some are killed inside of calls; one of them always lives."""
    world = World()
    keys = [letter * 64 for letter in "cd"[:steps]]
    runs = [Run(world, number, machine, keys) for number, machine in enumerate(machines)]
    for run in runs:
        run.start()
        run.done.acquire()
    turns = iter(order)
    for moment in range(20_000):
        alive = [run for run in runs if not run.over]
        if not alive:
            break
        world.renew()
        chosen = runs[next(turns, moment) % len(runs)]
        killed = moment in kills and kills[moment] % len(runs) == chosen.number
        if killed and len(runs) - len(world.dead) > 1:
            world.dead.add(chosen.number)
        if not chosen.over:
            chosen.go_on()
    assert not world.wrong
    assert all(run.over for run in runs), "somebody waits for ever"
    assert world.artifacts == dict.fromkeys(keys, 1)
