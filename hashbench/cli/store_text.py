"""The lines of `hashbench store`: at most 80 columns wide where no name is longer. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hashbench.characters import counted, shortened, sized
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.clearing import Removal
from hashbench.results.inventory import Item, Kind, total
from hashbench.results.needs import SHOWN_DIGITS, Needs

LARGEST: Final = 5
"""How many of the largest items are named."""

NAMED: Final = 20
"""How many items that are to be deleted are named."""

_LABEL: Final = 46
_KINDS: Final = (*ArtifactKind, *Kind)


def overview(folder: str, needs: Needs, items: Sequence[Item]) -> Iterator[str]:
    """What lies in a folder, by kind and by plan."""
    cells = sum(plan.cells for plan in needs.plans)
    plans = f"{counted(len(needs.plans), 'plan')} of {counted(cells, 'cell')}"
    yield f"{folder}: {counted(len(items), 'item')}, {sized(total(items))}; {plans}"
    yield ""
    yield f"{'kind':12}{'number':>8}{'size':>12}   of these no plan needs"
    for kind in sorted({item.kind for item in items}, key=_place):
        of_kind = [item for item in items if item.kind == kind]
        idle = [item for item in of_kind if item.why is not None]
        told = f"   {len(idle):,}, {sized(total(idle))}" if idle else ""
        yield f"{kind:12}{len(of_kind):8,}{sized(total(of_kind)):>12}{told}"
    if needs.plans:
        yield ""
        yield from _plans(needs, items)
    largest = sorted(items, key=lambda item: (-item.bytes, item.path))[:LARGEST]
    if largest:
        yield ""
        yield "largest"
        for item in largest:
            yield f"{sized(item.bytes):>12}  {item.kind:12}{_words(item)}"
    yield from _what_to_do(items)


def _plans(needs: Needs, items: Sequence[Item]) -> Iterator[str]:
    """Each plan with what it needs, and what it alone needs; the last run at last."""
    yield f"{'plan':14}{'asked':18}{'cells':>7}{'size':>11}{'alone':>11}  suite"
    sizes, alone = Counter[str](), Counter[str]()
    for item in items:
        for name in item.needed_by:
            sizes[name] += item.bytes
        if len(item.needed_by) == 1:
            alone[next(iter(item.needed_by))] += item.bytes
    for plan in needs.plans:
        asked = plan.asked[:16].replace("T", " ")
        outdated = f" ({plan.outdated:,} cells of earlier versions)" if plan.outdated else ""
        yield (
            f"{plan.name[:SHOWN_DIGITS]:14}{asked:18}{plan.cells:7,}{sized(sizes[plan.name]):>11}"
            f"{sized(alone[plan.name]):>11}  {shortened(plan.suite)}{outdated}"
        )


def _what_to_do(items: Sequence[Item]) -> Iterator[str]:
    idle = [item for item in items if item.why is not None]
    broken = [item for item in items if item.damage and item.why is None]
    if idle or broken:
        yield ""
    if idle:
        yield (
            f"no plan needs {counted(len(idle), 'item')}, {sized(total(idle))}: "
            "'hashbench store gc' deletes them"
        )
    if broken:
        yield f"damaged: {counted(len(broken), 'item')}; 'hashbench store verify' names them"


def full_lines(items: Iterable[Item]) -> Iterator[str]:
    """A line for each item."""
    yield f"{'kind':12}{'size':>11}  {'written':16}  {'plans':>5}  what"
    for item in sorted(items, key=lambda one: (_place(one.kind), one.path)):
        when = item.written.isoformat(sep=" ")[:16]
        number = str(len(item.needed_by)) if item.needed_by else "-"
        path = item.path.as_posix()
        words = f"{path}  {item.label}" if item.label else path
        state = item.damage or (str(item.why) if item.why is not None else "")
        yield f"{item.kind:12}{sized(item.bytes):>11}  {when}  {number:>5}  {words}" + (
            f" ({state})" if state else ""
        )


def chosen_lines(chosen: Sequence[Removal], *, full: bool) -> Iterator[str]:
    """What is to be deleted: by kind and reason, and the largest of it; or all of it."""
    if not chosen:
        yield "nothing to delete: a plan needs everything that a run wrote here"
        return
    yield f"{'kind':12}{'number':>8}{'size':>12}   why"
    groups: dict[tuple[str, str], list[Item]] = {}
    for one in chosen:
        groups.setdefault((one.item.kind, one.why), []).append(one.item)
    for (kind, why), items in groups.items():
        yield f"{kind:12}{len(items):8,}{sized(total(items)):>12}   {why}"
    largest = sorted(chosen, key=lambda one: -one.item.bytes)
    yield ""
    for one in chosen if full else largest[:NAMED]:
        yield f"{sized(one.item.bytes):>12}  {one.item.path.as_posix()}"
    if not full and len(chosen) > NAMED:
        yield f"and {len(chosen) - NAMED:,} more: --full names them"
    yield ""
    size = sized(total(one.item for one in chosen))
    yield f"to be deleted: {counted(len(chosen), 'item')}, {size}"


def _place(kind: str) -> tuple[int, str]:
    """Where a kind stands; one of a later version behind those that are known."""
    known = [str(one) for one in _KINDS]
    return (known.index(kind) if kind in known else len(known), kind)


def _words(item: Item) -> str:
    return shortened(item.label, _LABEL) if item.label else shortened(item.path.as_posix(), _LABEL)
