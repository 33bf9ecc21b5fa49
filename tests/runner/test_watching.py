"""Who is told how a run goes: bars in notebooks and terminals, nothing elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

import hashbench
from hashbench.runner.notebook import MOST_LINES, SECONDS_BETWEEN_LOOKS, NotebookReporter, output
from hashbench.runner.reporter import BarReporter, LineReporter, Reporter
from hashbench.runner.steps import Step
from hashbench.runner.watching import reporter_for


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Cell:
    """The output of a notebook's cell."""

    def __init__(self) -> None:
        self.written: list[Mapping[str, str]] = []

    def show(self, content: Mapping[str, str]) -> None:
        self.written.append(content)

    @property
    def last(self) -> Mapping[str, str]:
        return self.written[-1]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """IPython as a notebook's kernel has it."""
    cell = Cell()

    def display(content: Mapping[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        cell.show(content)

        def update(content: Mapping[str, str], *, raw: bool) -> None:
            assert raw
            cell.show(content)

        return SimpleNamespace(update=update)

    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return cell


@pytest.mark.parametrize(
    ("progress", "terminal", "kind"),
    [
        (None, False, Reporter),
        (None, True, BarReporter),
        (True, False, LineReporter),
        (True, True, BarReporter),
        (False, True, Reporter),
        (False, False, Reporter),
    ],
)
def test_where_nobody_is_named(
    progress: bool | None, terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Screen(terminal))
    assert type(reporter_for(progress)) is kind


@pytest.mark.parametrize("progress", [None, True])
def test_in_a_notebook(progress: bool | None, notebook: Cell) -> None:
    assert type(reporter_for(progress)) is NotebookReporter
    assert type(reporter_for(False)) is Reporter
    assert len(notebook.written) == 1


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert output() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert output() is None


def test_a_run_in_a_notebook_shows_its_steps(notebook: Cell) -> None:
    import numpy as np
    from torch import nn

    images = np.random.default_rng(0).integers(0, 256, (24, 1, 4, 4), dtype=np.uint8)
    train, query = ((part, np.arange(12) % 2) for part in (images[:12], images[12:]))
    data = {"train": train, "query": query, "database": train}
    hashbench.evaluate(nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), data, "noise")
    assert notebook.last["text/plain"].startswith("6 of 6 steps; 0 in the store; ")
    assert "<progress" not in notebook.last["text/html"]
    assert any("<progress value=" in content.get("text/html", "") for content in notebook.written)


def test_what_a_cell_says(make_step: Callable[..., Step]) -> None:
    now = [0.0]
    cell = Cell()
    reporter = NotebookReporter(cell.show, clock=lambda: now[0])
    train, attack = make_step("train <b>"), make_step("attack")
    reporter.begin(4, 3)
    reporter.started(train)
    assert cell.last["text/plain"] == "step 1 of 4: train <b> 0%"
    assert cell.last["text/html"] == (
        '<div><progress value="0.0000" max="1"></progress> step 1 of 4: train &lt;b&gt; 0%</div>'
    )
    count = len(cell.written)
    reporter.advanced(train, 1, 4)
    assert len(cell.written) == count  # too soon after the last
    now[0] += SECONDS_BETWEEN_LOOKS
    reporter.advanced(train, 1, 2)
    assert cell.last["text/plain"] == "step 1 of 4: train <b> 50%"
    assert 'value="0.1250"' in cell.last["text/html"]
    reporter.finished(train, 1.0)
    reporter.started(attack)
    reporter.failed(attack, "it\nbroke", 2)
    assert cell.last["text/plain"].splitlines()[1] == r"FAILED attack: it\x0abroke"
    for number in range(MOST_LINES + 5):
        reporter.note(str(number))
    now[0] = 75.0
    reporter.end()
    lines = cell.last["text/plain"].splitlines()
    assert lines[0] == "4 of 4 steps, 3 of them failed; 3 in the store; 75 s"
    assert lines[-1] == "and 6 more lines like these"
    assert len(lines) == 2 + MOST_LINES


def test_images_that_are_read() -> None:
    cell = Cell()
    reporter = NotebookReporter(cell.show, clock=lambda: 5.0)
    reporter.reading(1, 2000)
    assert cell.last["text/plain"] == "reading images: 1 of 2,000"


def test_nothing_is_shown_of_a_run_that_never_began() -> None:
    cell = Cell()
    reporter = NotebookReporter(cell.show)
    reporter.end()
    assert cell.written == []
