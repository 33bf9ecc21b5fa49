"""The remaining time: on the quick suite as it once was and was measured, on a clock of its own."""

from __future__ import annotations

import heapq
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from rich.text import Text

from hashbench.console import TextConsole
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.evaluation_steps import Probe, Scores
from hashbench.runner.plan import make_plan
from hashbench.runner.remaining import LEAST, Forecast
from hashbench.runner.reporter import BarReporter, LineReporter
from hashbench.runner.steps import BaseModel, DefendedModel, ModelCodes, Step
from hashbench.runner.suite import load

MakeStep = Callable[..., Step]

# Seconds of the steps of `hashbench run` (one worker, two cores at work on other things as well).
MEASURED = {
    "none": {
        "train": 5.15, "codes": 0.22, "probe": 0.51, "score": 0.24, "noise": 0.14, "hag": 5.26,
        "sdha": 4.76, "pgd-hamming": 5.43, "smooth-ap": 3.95, "auto": 11.49,
    },
    "atrdh": {
        "train": 27.0, "codes": 0.21, "probe": 0.49, "score": 0.25, "noise": 0.06, "hag": 3.48,
        "sdha": 3.85, "pgd-hamming": 3.39, "smooth-ap": 3.96, "auto": 11.15,
    },
    "cgat": {
        "train": 29.5, "codes": 0.38, "probe": 0.84, "score": 0.41, "noise": 0.13, "hag": 5.85,
        "sdha": 6.05, "pgd-hamming": 5.49, "smooth-ap": 6.24, "auto": 19.44,
    },
}  # fmt: skip


def truth(step: Step) -> float:
    """What a step of the quick suite took."""
    if isinstance(step, BaseModel):
        return MEASURED["none"]["train"]
    for defense, seconds in MEASURED.items():
        if f"{defense} fashion" in step.label:
            if isinstance(step, DefendedModel):
                return 0.0 if defense == "none" else seconds["train"]
            for kind, name in ((ModelCodes, "codes"), (Probe, "probe"), (Scores, "score")):
                if isinstance(step, kind):
                    return seconds[name]
            return seconds[step.label.partition(" ")[0]]
    raise AssertionError(step.label)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def played(
    steps: list[Step], forecast: Forecast, clock: Clock, workers: int, slow: float, news: float
) -> Iterator[float]:
    """Run the steps on the clock; after every piece of news, when it is."""
    schedule = Schedule(steps, ())
    running: list[tuple[float, int, Step, float]] = []
    number = 0
    while not schedule.finished:
        while len(running) < workers and (step := schedule.next()) is not None:
            forecast.started(step)
            number += 1
            heapq.heappush(running, (clock.now + slow * truth(step), number, step, clock.now))
        end, _, step, began = running[0]
        if end > clock.now + news:
            clock.now += news
            for ends, _, one, start in running:
                # Codes, probes and scores tell nothing of how far they are.
                if not isinstance(one, ModelCodes | Probe | Scores):
                    done = int(1000 * (clock.now - start) / max(1e-9, ends - start))
                    forecast.advanced(one, done, 1000)
        else:
            heapq.heappop(running)
            clock.now = max(clock.now, end)
            schedule.succeed(step)
            forecast.finished(step, clock.now - began)
        yield clock.now


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("slow", [0.3, 1.0, 12.0])
@pytest.mark.parametrize("rates", [(1.0, 1.0), (3.0, 1.0), (1.0, 3.0), (0.5, 0.2)])
def test_after_a_fifth_of_the_run_it_is_within_a_factor_of_one_and_a_half(
    workers: int, slow: float, rates: tuple[float, float]
) -> None:
    """Whatever the machine, and however far off the estimate was.

    Args:
        workers: of the run.
        slow: how many times slower than where it was measured.
        rates: by which trainings and attacks were estimated, times what they are.
    """
    steps = list(make_plan(load("quick", defense=list(MEASURED))).steps)
    rng = random.Random(0)
    seconds = {}
    for step in steps:
        rate = rates[0] if isinstance(step, BaseModel | DefendedModel) else rates[1]
        # A pass costs more in one attack than in another, which no estimate knows.
        seconds[step.key] = truth(step) * rate * rng.uniform(0.7, 1.4)
    clock = Clock()
    forecast = Forecast(steps, seconds, workers, clock=clock)
    said = [(at, forecast.left()) for at in played(steps, forecast, clock, workers, slow, 0.2)]
    whole = clock.now
    for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        at, left = next(one for one in said if one[0] >= share * whole)
        assert 1 / 1.5 <= left / (whole - at) <= 1.5, f"at {share:.0%} of the run"
    assert forecast.left() == 0
    assert forecast.share() == 1


def test_before_anything_is_measured_it_is_the_estimate_as_the_workers_share_it(
    make_step: MakeStep,
) -> None:
    top = make_step("top")
    others = [make_step(name, top) for name in "abc"]
    seconds = {top.key: 3.0, others[0].key: 2.0, others[1].key: 2.0, others[2].key: 2.0}
    clock = Clock()
    for workers, wanted in ((1, 9.0), (2, 7.0), (3, 5.0), (9, 5.0)):
        found = Forecast([top, *others], seconds, workers, clock=clock).left()
        assert found == pytest.approx(wanted)
    # The second worker is there after 4 seconds, when the first one is at the first of three.
    late = Forecast([top, *others], seconds, 2, start_up=4.0, clock=clock)
    assert late.left() == pytest.approx(7.0)
    unknown = Forecast([top, *others], {}, 1, clock=clock)
    assert unknown.left() == pytest.approx(4 * LEAST)


def test_a_step_that_goes_on_is_not_taken_for_a_fast_one(make_step: MakeStep) -> None:
    """A training that goes on from 80 % says so after its first step, which proves no pace."""
    step, other = make_step("one"), make_step("two")
    clock = Clock()
    forecast = Forecast([step, other], {step.key: 100.0, other.key: 100.0}, 1, clock=clock)
    forecast.started(step)
    clock.now = 0.1
    forecast.advanced(step, 801, 1000)
    assert forecast.left() == pytest.approx(100 + 19.9)
    clock.now = 10.1
    forecast.advanced(step, 901, 1000)  # 10 % in 10 seconds
    assert forecast.left_of(step) == pytest.approx(9.9)
    clock.now = 20.0
    forecast.finished(step, 20.0)
    assert forecast.left() == pytest.approx(100, rel=0.01)
    assert forecast.left_of(other) is None


def test_what_failed_or_was_dropped_takes_no_more_time(make_step: MakeStep) -> None:
    top = make_step("top")
    rest = [make_step("a", top), make_step("b", top), make_step("c")]
    clock = Clock()
    forecast = Forecast([top, *rest], dict.fromkeys([one.key for one in (top, *rest)], 5.0), 1)
    forecast.clock = clock
    forecast.started(top)
    forecast.again(top)
    assert forecast.left() == pytest.approx(20)
    forecast.started(top)
    forecast.failed(top)
    assert forecast.left() == pytest.approx(5)


def lines(forecast: Forecast | None, tell: Callable[[LineReporter], None]) -> list[str]:
    screen = io.StringIO()
    tell(LineReporter(TextConsole(file=screen, width=80), forecast))
    return screen.getvalue().splitlines()


def test_lines_say_what_is_left_and_count_what_is_dropped_apart(make_step: MakeStep) -> None:
    top = make_step("train")
    rest = [make_step("codes", top), make_step("score", top), make_step("alone"), make_step("two")]
    steps = [top, *rest]
    clock = Clock()
    seconds = dict.fromkeys([one.key for one in steps], 60.0)

    def tell(reporter: LineReporter) -> None:
        reporter.begin(5, 0)
        reporter.note("no locks here")
        reporter.started(top)
        reporter.again(top, "signal 9", 1, 3)
        reporter.started(top)
        reporter.failed(top, "it broke", 2)
        for step in rest[2:]:
            reporter.started(step)
            clock.now += 30
            reporter.finished(step, 30)

    wanted = [
        "5 steps to do, 0 in the store",
        "Note: no locks here",
        "the process of train ended (signal 9): it is tried again (1 of 3 tries)",
        "[1/5] FAILED train: it broke; 2 steps that need it are dropped; about 2 min left",
        "[2/3] alone (30.0 s); about 30 s left",
        "[3/3] two (30.0 s)",
    ]
    assert lines(Forecast(steps, seconds, 1, clock=clock), tell) == wanted
    without = [line.partition("; about")[0] for line in wanted]
    assert lines(None, tell) == without


@pytest.mark.parametrize(
    ("steps", "line"),
    [(0, "0 steps to do, 7 in"), (1, "1 step to do, 7 in"), (1_200, "1,200 steps to do, 7 in")],
)
def test_steps_are_counted_in_words(steps: int, line: str) -> None:
    assert lines(None, lambda reporter: reporter.begin(steps, 7)) == [f"{line} the store"]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_bars_name_the_whole_model_and_their_times(make_step: MakeStep, width: int) -> None:
    label = "random-search eps 24/255 on cgat fashion csq small-cnn 32 bits seed 1"
    steps = [make_step(label), make_step("next")]
    screen = io.StringIO()
    console = TextConsole(file=screen, width=width, color=True)
    clock = Clock()
    bars = BarReporter(console, Forecast(steps, {steps[0].key: 40.0}, 1, clock=clock))
    bars.begin(2, 3)
    bars.started(steps[0])
    clock.now = 10
    bars.advanced(steps[0], 1, 4)
    shown = [line.plain for line in map(_text, _rendered(bars, console))]
    bars.finished(steps[0], 40)
    bars.end()
    words = " ".join(line[: width // 2].strip() for line in shown)
    squeezed = "".join(" ".join(shown).split())
    for word in label.split():
        assert word in squeezed or word in words
    assert "25%" in " ".join(shown)
    assert "0:30 left" in " ".join(shown)
    assert "so far" in " ".join(shown)
    assert all(len(line) <= width for line in shown)
    assert "…" not in squeezed


def _rendered(bars: BarReporter, console: TextConsole) -> list[str]:
    with console.capture() as capture:
        console.print(bars._bars.get_renderable())
    return capture.get().splitlines()


def _text(line: str) -> Text:
    return Text.from_ansi(line)
