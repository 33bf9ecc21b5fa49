"""The commands `hashbench store ...`: what lies in a folder, whether it is whole, what can go.

Nothing heavy is imported at the top, as in `hashbench.cli.app`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashbench.characters import counted, sized
from hashbench.cli.ended import word_and_code
from hashbench.cli.options import EXIT_FAILED
from hashbench.cli.screen import byte_bar, for_answers, for_notes, say_folded
from hashbench.errors import UsageError
from hashbench.plugins.paths import at_home

if TYPE_CHECKING:
    from hashbench.results.clearing import Removal, Rules
    from hashbench.results.inventory import Item
    from hashbench.results.needs import Needs
    from hashbench.results.store import Store

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Look after folders of results: what lies there, whether it is whole, what can go.",
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of results.")]

RulesOf = Callable[[list["Item"], "Needs"], "Rules"]
"""What may go, told once it is known what lies there."""

_RESULTS = Path("results")


@app.callback()
def _store() -> None:
    """Look after folders of results."""


@app.command()
def ls(
    folder: Folder = _RESULTS,
    full: Annotated[
        bool, typer.Option("--full", help="Every item, with size, date and what made it.")
    ] = False,
) -> None:
    """List what lies in a folder of results: kinds, sizes, and what no plan needs.

    A plan is what a run was asked for; it needs all that its cells are made from. Nothing is read
    but records, so this is quick; 'hashbench store verify' reads everything.
    """
    from hashbench.cli.store_text import full_lines, overview

    _, needs, items = _stock(folder)
    screen = for_answers()
    _tell_troubles(needs)
    for line in full_lines(items) if full else overview(str(folder), needs, items):
        screen.say(line)


@app.command()
def verify(folder: Folder = _RESULTS) -> None:
    """Read every file of a folder of results, and say which are not what they were.

    Every artifact is compared with the sums that were noted when it was written, every plan with
    its own. The exit code is 0 when all is whole, 1 when something is damaged. Nothing is changed.
    """
    from hashbench.results.verifying import damages

    store, needs, items = _stock(folder)
    screen, notes = for_answers(), for_notes()
    found = len(needs.troubles)
    for sentence in needs.troubles:
        screen.say(sentence)
    try:
        with byte_bar(notes, "reading") as progress:
            for damage in damages(store, needs, items, progress):
                found += 1
                screen.say(damage.told(store.folder))
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        notes.say(f"{word}: the rest was not read.")
        raise typer.Exit(code) from None
    artifacts = [item for item in items if item.is_artifact]
    read = f"{counted(len(artifacts), 'artifact')} and {counted(len(needs.plans), 'plan')}"
    if found:
        screen.say(f"{counted(found, 'fault')} in {read}")
        raise typer.Exit(EXIT_FAILED)
    screen.say(f"whole: {read}, {sized(sum(item.bytes for item in artifacts))}")


@app.command()
def gc(
    folder: Folder = _RESULTS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="Only what has lain there for so many days."),
    ] = None,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep all models and trained attackers.")
    ] = False,
    damaged: Annotated[
        bool,
        typer.Option(
            "--damaged",
            help="Read everything, and delete what is damaged though a plan needs it; a run makes "
            "it anew.",
        ),
    ] = False,
    drop_plan: Annotated[
        list[str] | None,
        typer.Option(
            "--drop-plan",
            metavar="PLAN",
            help="Forget this plan, and what it alone needs; 'hashbench store ls' lists them. May "
            "be repeated.",
        ),
    ] = None,
    also_for: Annotated[
        list[Path] | None,
        typer.Option(
            "--also-for",
            metavar="FOLDER",
            help="Keep what the plans of this folder need too: a report reads both. May be "
            "repeated.",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Name everything that is deleted.")] = False,
) -> None:
    """Delete what no plan needs; first say what, how large it is, and why.

    That is: what was made by earlier versions of plugins, notes of failures that were mended since,
    states of trainings that are done, and what interrupted runs left half-written. No report
    changes by it, and no run has to make anything again. Nothing is deleted while a run works in
    the folder, nor, without --yes, where nobody can be asked.

    For example:

      hashbench store gc
      hashbench store gc mine --older-than 30 --keep-models --yes
      hashbench store gc mine --drop-plan 0a1b2c
    """
    from hashbench.cli.store_text import chosen_lines
    from hashbench.results.clearing import Rules
    from hashbench.results.needs import plan_named

    if older_than is not None and not 0 <= older_than < 1e6:
        raise UsageError(f"--older-than is {older_than:g}, expected a number of days")
    store = _store_of(folder)
    dropped = list(dict.fromkeys(plan_named(store, text) for text in drop_plan or []))
    others = [_store_of(other) for other in also_for or []]

    def rules(items: list[Item], needs: Needs) -> Rules:
        broken = _damaged(store, needs, items) if damaged else frozenset[Path]()
        return Rules(older_than or 0.0, keep_models, broken)

    chosen = _chosen(store, dropped, others, rules)
    screen, notes = for_answers(), for_notes()
    for line in chosen_lines(chosen, full=full):
        screen.say(line)
    if not chosen:
        return
    if not yes and not _agreed(len(chosen)):
        notes.say("Nothing was deleted." if sys.stdin.isatty() else _UNASKED)
        return
    with _alone(store.folder):
        # What a run wrote since is needed by a plan of its own.
        now = {one.item.path for one in _chosen(store, dropped, others, rules)}
        _delete(store, [one for one in chosen if one.item.path in now])


_UNASKED = "Nothing was deleted, since nobody can be asked here: --yes deletes it."


def _store_of(folder: Path) -> Store:
    from hashbench.results.inventory import refuse_no_store
    from hashbench.results.store import Store

    folder = Path(at_home(str(folder), "FOLDER"))
    refuse_no_store(folder)
    return Store(folder)


def _stock(folder: Path) -> tuple[Store, Needs, list[Item]]:
    from hashbench.results.inventory import take_stock
    from hashbench.results.needs import needs_of

    store = _store_of(folder)
    needs = needs_of(store)
    return store, needs, list(take_stock(store, needs))


def _tell_troubles(needs: Needs) -> None:
    notes = for_notes()
    for sentence in needs.troubles:
        notes.say(f"{sentence}; what it needs is not known", style="yellow")


def _chosen(
    store: Store, dropped: list[str], others: list[Store], rules: RulesOf
) -> tuple[Removal, ...]:
    """What is to be deleted.

    Raises:
        UsageError: it is not known what is needed.
    """
    from hashbench.results.clearing import removals
    from hashbench.results.inventory import take_stock
    from hashbench.results.needs import needs_of, together

    needs = together([needs_of(store, dropped), *map(needs_of, others)])
    if needs.troubles:
        raise UsageError(
            f"{needs.troubles[0]}; what it needs is not known, so nothing is deleted: mend it, or "
            "forget it with --drop-plan"
        )
    if not needs.paths and not dropped:
        raise UsageError(
            f"folder {store.folder}: no plan is in it, so nothing says what is needed: it may be "
            "part of another folder's results (--also-for FOLDER); delete it yourself if not"
        )
    items = list(take_stock(store, needs))
    return removals(items, rules(items, needs), dropped)


def _damaged(store: Store, needs: Needs, items: list[Item]) -> frozenset[Path]:
    """The artifacts that are damaged, by their places."""
    from hashbench.results.verifying import damages

    broken = set()
    with byte_bar(for_notes(), "reading") as progress:
        places = {item.path for item in items if item.is_artifact}
        for damage in damages(store, needs, items, progress):
            broken |= {damage.path, damage.path.parent} & places
    return frozenset(broken)


def _agreed(count: int) -> bool:
    """Whether somebody says that so many things may go; nobody, where there is no terminal."""
    if not sys.stdin.isatty():
        return False
    try:
        answer = for_notes().input(f"Delete {counted(count, 'item')}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else works in a folder.

    Raises:
        UsageError: a run is at work there, or it cannot be written to.
    """
    from hashbench.results.claims import Claims
    from hashbench.runner.alone import folder_lock

    with folder_lock(folder) as lock:
        alone = lock.alone()
        if Claims(folder).others() or (lock.works and not alone):
            raise UsageError(
                f"folder {folder}: a run is at work there; nothing was deleted: try again once it "
                "has ended"
            )
        if not alone:
            for_notes().say(
                f"folder {folder}: its file system has no locks: see to it that no run works there"
            )
        yield


def _delete(store: Store, chosen: list[Removal]) -> None:
    """Delete, and say what became of it."""
    from hashbench.results.clearing import delete

    notes = for_notes()
    freed, gone, failed = 0, 0, 0
    for one, reason in delete(store.folder, chosen):
        if reason:
            failed += 1
            say_folded(notes, f"{store.folder / one.item.path}: not deleted ({reason})", "red")
        else:
            gone += 1
            freed += one.item.bytes
    for_answers().say(f"deleted {counted(gone, 'item')}, {sized(freed)}")
    if failed:
        raise typer.Exit(EXIT_FAILED)
