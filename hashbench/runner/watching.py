"""Who is told how a run goes that was started from Python, where nobody is named."""

from __future__ import annotations

from collections.abc import Iterable

from hashbench.console import TextConsole
from hashbench.runner.estimate import estimate
from hashbench.runner.notebook import NotebookReporter, output
from hashbench.runner.rehearsal import rehearse
from hashbench.runner.remaining import Forecast
from hashbench.runner.reporter import BarReporter, Forecasting, LineReporter, Reporter
from hashbench.runner.steps import Step


def reporter_for(progress: bool | None) -> Reporter:
    """A bar in a notebook and on a terminal (standard error), else nothing.

    Args:
        progress: `False` for nothing anywhere; `True` for one line a step where there is neither a
            notebook nor a terminal, as in log files.
    """
    if progress is False:
        return Reporter()
    show = output()
    if show is not None:
        return NotebookReporter(show)
    console = TextConsole(stderr=True)
    if console.is_terminal:
        return BarReporter(console)
    return LineReporter(console) if progress else Reporter()


def tried(steps: Iterable[Step], reporter: Reporter, workers: int) -> None:
    """Try what the steps need before anything is computed; see `rehearse`.

    A reporter that can tell remaining times gets them: a pass is timed for it, about a second for
    each network.

    Raises:
        UsageError: something cannot work.
    """
    missing = list(steps)
    if not isinstance(reporter, Forecasting):
        rehearse(missing)
        return
    ahead = estimate(missing)
    if ahead.measured and missing:
        reporter.foresee(Forecast(missing, ahead.by_step, workers, start_up=ahead.start))
