"""The last words of `hashbench run`: how many cells are done, which failed and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashbench.characters import counted
from hashbench.cli.debug import OPTION, asked, say_traceback
from hashbench.console import TextConsole

if TYPE_CHECKING:
    from hashbench.results.results import Results
    from hashbench.results.store import Store
    from hashbench.runner.plan import Plan


def say_end(notes: TextConsole, results: Results, plan: Plan, out: Path) -> bool:
    """Say what became of a run.

    Args:
        notes: where to.
        results: of its cells.
        plan: what was to be done.
        out: the folder of the results.

    Returns:
        Whether all of it is done: no cell failed, all images that were asked for are kept, and no
        attack went below what is proven.
    """
    from hashbench.results.cell import in_words
    from hashbench.results.store import Store
    from hashbench.runner.run import images_not_kept

    failed, store = results.failed, Store(out)
    without = images_not_kept(plan, store)
    for step, reason in without:
        notes.say(f"FAILED {step.label}: {reason}", style="red")
    done = len(results.cells) - len(failed)
    read = f" Read them with: hashbench report {out}" if done else ""
    notes.say(f"{done} of {counted(len(results.cells), 'cell')} done.{read}")
    for result in failed:
        notes.say(f"FAILED {in_words(result.cell)}: {result.reason}", style="red")
    if failed:
        _say_failures(notes, plan, store)
    for violation in results.violations:
        notes.say(f"WRONG {violation.words}", style="bold red")
    return not failed and not without and not results.violations


def _say_failures(notes: TextConsole, plan: Plan, store: Store) -> None:
    """The tracebacks of the steps that failed, or how to see them and where they are."""
    failures = [(step, store.failure(step.address)) for step in plan.steps]
    found = [(step, failure) for step, failure in failures if failure is not None]
    for step, failure in found:
        if asked():
            notes.say(f"\nTraceback of '{step.label}':")
            say_traceback(notes, failure.traceback)
    if not found:
        return
    path = store.failure_path(found[0][0].address)
    more = f" and {len(found) - 1:,} more beside it" if len(found) > 1 else ""
    how = "" if asked() else f"The same command with {OPTION} prints the traceback. "
    notes.say(f"{how}It is kept in {path}{more}.")
