"""The tables of matches, one per threat, as sheets. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from hashbench.reports.matches.rows import AttackRow, Group, attack_rows, changes, is_done
from hashbench.reports.text.entries import NOT_KNOWN, percent
from hashbench.reports.text.sentences import one_line
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.results.matches import metrics
from hashbench.results.matches.results import MatchResult, Threat

NEVER: Final = "never"
"""Stands for the least radius of an attack that never succeeded."""

_SMOOTHING: Final = "smoothing:"
_NOT_ATTACKED: Final = "not attacked"
_SLACK: Final = 1e-6
"""Hundredths of a step that a double may be off: `3/255` is three whole steps."""

Write = Callable[[float], str]


def sheets(group: Group) -> tuple[Sheet, ...]:
    """Of each threat, and of the innocent's changes; those without a row are left out."""
    found = (evasion(group), collision(group), innocent(group), by_change(group), smoothed(group))
    return tuple(sheet for sheet in found if sheet.rows)


def evasion(group: Group) -> Sheet:
    """Away from a picture's own code: what is proven, what attacks did, what T costs."""
    proven = bool(group.proofs)
    rows = attack_rows(group, Threat.EVASION)
    title = (
        "Evasion: pictures whose saved file no longer matches the clean one, in percent, at each "
        "eps. Proven eps <= least eps, in 255ths: median [quartiles]. TPR (in percent) and FPR: of "
        "the innocent, at T"
    )
    return _threat_sheet("Evasion", title, group, rows, Threat.EVASION, proven=proven)


def collision(group: Group) -> Sheet:
    """To a stranger's code."""
    rows = attack_rows(group, Threat.COLLISION)
    title = (
        "Collision: pictures whose saved file matches a stranger, in percent, at each eps. Least "
        "eps, in 255ths: median [quartiles]"
    )
    return _threat_sheet("Collision", title, group, rows, Threat.COLLISION, proven=False)


def innocent(group: Group) -> Sheet:
    """What a threshold costs those who attack nothing: a row per hash."""
    columns = _of_innocent(group)
    cells = sorted(group.innocent.values(), key=lambda one: one.cell)
    rows = tuple(
        (
            _name(one.cell.hash),
            Field((str(one.bits),)),
            Field((str(one.threshold),)),
            *(value(one, metric, write) for _, metric, write in columns),
        )
        for one in cells
    )
    by_line = tuple(
        (_name(one.cell.hash), Field((head,)), told)
        for one in cells
        for head, told in (
            ("bits", Field((str(one.bits),))),
            ("T", Field((str(one.threshold),))),
            *((head, value(one, metric, write)) for head, metric, write in columns),
        )
        if told.parts != (NOT_KNOWN,)
    )
    title = (
        "The innocent: what T costs those who attack nothing. TPR, recall and EER in percent; FPR "
        "and micro-AP as shares; false flags a day, at the traffic that was stated"
    )
    header = ("hash", "bits", "T", *(head for head, _, _ in columns))
    narrow = Sheet(title, ("hash", "what", "value"), by_line, names=2, name="Innocent")
    return Sheet(title, header, rows, names=1, name="Innocent", narrow=narrow)


def by_change(group: Group) -> Sheet:
    """The TPR of every innocent change: changes down, hashes across."""
    cells = sorted(group.innocent.values(), key=lambda one: one.cell)
    rows = tuple(
        (
            _name(change),
            *(value(one, metrics.of_change(change), percent) for one in cells),
        )
        for change in changes(cells)
    )
    title = "Innocent changes: TPR at T, in percent, of each change that people make"
    header = ("change", *(one_line(one.cell.hash) for one in cells))
    return Sheet(title, header, rows, names=1, name="Innocent changes")


def smoothed(group: Group) -> Sheet:
    """What is proven of hashes that are smoothed by noise."""
    rows = tuple(
        (
            _name(one.cell.hash),
            Field((one_line(one.cell.attack.removeprefix(_SMOOTHING)),)),
            Field((str(one.threshold),)),
            quartiles(one, metrics.SMOOTHED_L2, l2_distance),
            quartiles(one, metrics.SMOOTHED_EPS, proven_steps),
            value(one, metrics.SMOOTHED_DISTANCE, "{:.1f}".format),
            value(one, metrics.ABSTAINED, percent),
        )
        for one in sorted(group.of(Threat.SMOOTHED), key=lambda one: one.cell)
    )
    title = (
        "Smoothed hashes: inside which distance the smoothed code still matches, in l2 and as eps "
        "in 255ths: median [quartiles]. Bits off: mean distance to the plain codes. Abstained: "
        "bits whose value the draws do not tell, in percent"
    )
    header = ("hash", "noise", "T", "l2 distance", "as eps", "bits off", "abstained")
    return Sheet(title, header, rows, names=2, name="Smoothed")


def value(result: MatchResult | None, metric: str, write: Write) -> Field:
    """A number of a cell, or why there is none."""
    if result is None:
        return Field((NOT_KNOWN,))
    if not is_done(result):
        return Field((result.status.words,), Tone.PROBLEM)
    found = result.metrics.get(metric, math.nan)
    return Field((NOT_KNOWN if math.isnan(found) else write(found),))


def least(result: MatchResult | None, *, proven: bool) -> Field:
    """The median of least radii, and their quartiles, in 255ths."""
    if proven:
        return quartiles(result, metrics.PROVEN, proven_steps)
    return quartiles(result, metrics.ATTACKED, attacked_steps)


def quartiles(result: MatchResult | None, names: tuple[str, str, str, str], write: Write) -> Field:
    """A median and its quartiles, of metrics in the order mean, first, median, third."""
    _, first, middle, third = names
    found = value(result, middle, write)
    ends = [value(result, end, write).parts[0] for end in (first, third)]
    if found.tone is Tone.PROBLEM or NOT_KNOWN in (*found.parts, *ends):
        return found
    return Field((*found.parts, f"[{', '.join(ends)}]"))


def proven_steps(eps: float) -> str:
    """A proven radius in 255ths, to two decimals: rounded down, so that no more is said."""
    return f"{math.floor(eps * 25_500 + _SLACK) / 100:.2f}"


def l2_distance(radius: float) -> str:
    """A proven l2 distance to three decimals, rounded down."""
    return f"{math.floor(radius * 1000) / 1000:.3f}"


def attacked_steps(eps: float) -> str:
    """The radius of an attack in 255ths, to two decimals, rounded up; or `never`."""
    return f"{math.ceil(eps * 25_500 - _SLACK) / 100:.2f}" if math.isfinite(eps) else NEVER


def rate(share: float) -> str:
    """A small share: `0`, `1.2e-5`, `0.034`."""
    if share == 0 or share >= 0.001:
        return f"{share:.2g}"
    digits, exponent = f"{share:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def whole(count: float) -> str:
    """A count, or a mean of counts."""
    return f"{count:,.0f}" if count >= 100 or count == round(count) else f"{count:,.1f}"


def _threat_sheet(
    name: str,
    title: str,
    group: Group,
    rows: tuple[AttackRow, ...],
    threat: Threat,
    *,
    proven: bool,
) -> Sheet:
    share = metrics.EVASION if threat is Threat.EVASION else metrics.COLLISION
    radii = group.radii(threat)
    searched = any(row.least is not None for row in rows)
    queries = any(one.black_box for one in group.of(threat))
    costs = bool(group.innocent) and threat is Threat.EVASION

    def fields(row: AttackRow, *, brief: bool) -> tuple[Field, ...]:
        found = [_name(row.hash), Field((one_line(row.attack) or _NOT_ATTACKED,))]
        if not brief:
            found += [Field((str(row.bits),)), Field((str(row.threshold),))]
        if costs and not brief:
            found.append(value(row.innocent, metrics.TPR, percent))
            found.append(value(row.innocent, metrics.FPR, rate))
        found += [least(row.proof, proven=True)] if proven else []
        found += [least(row.least, proven=False)] if searched else []
        found += [value(row.at.get(eps), share, percent) for eps in radii]
        found += [value(row.counted_queries, metrics.QUERIES[2], whole)] if queries else []
        return tuple(found)

    def sheet(*, brief: bool, narrow: Sheet | None = None) -> Sheet:
        header = (
            "hash",
            "attack",
            *(() if brief else ("bits", "T")),
            *(("TPR", "FPR") if costs and not brief else ()),
            *(("proven eps",) if proven else ()),
            *(("least eps",) if searched else ()),
            *(one_line(eps) for eps in radii),
            *(("queries",) if queries else ()),
        )
        lines = tuple(fields(row, brief=brief) for row in rows)
        return Sheet(title, header, lines, names=2, name=name, narrow=narrow)

    # What the narrow one leaves out stands in the table of the innocent.
    return sheet(brief=False, narrow=sheet(brief=True) if group.innocent else None)


def _of_innocent(group: Group) -> tuple[tuple[str, str, Write], ...]:
    """Head, metric and writing of the columns that any hash has a number of."""
    known = {name for one in group.innocent.values() if is_done(one) for name in one.metrics}
    wanted: tuple[tuple[str, str, Write], ...] = (
        ("TPR", metrics.TPR, percent),
        ("FPR", metrics.FPR, rate),
        *((name, name, percent) for name in metrics.TPR_AT_FPR),
        ("EER", metrics.EER, percent),
        *((name, name, percent) for name in metrics.RECALL_AT_PRECISION),
        ("micro-AP", metrics.MICRO_AP, "{:.3f}".format),
        ("false flags a day", metrics.FALSE_FLAGS, whole),
        ("pairs: same", metrics.PAIRS_SAME, whole),
        ("pairs: other", metrics.PAIRS_OTHER, whole),
    )
    # Where every cell failed the first column says so.
    return tuple(one for one in wanted if one[1] in known) or wanted[:1]


def _name(text: str) -> Field:
    return Field((one_line(text),), Tone.NAME)
