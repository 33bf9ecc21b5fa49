"""Which colour, dash, marker and hatch a series has: a name has the same in all figures.

There are 24 looks. No two share dash, or hatch, or both colour and marker; each hue has three. The
attacks and defenses that ship have looks of their own (`ATTACKS`, `DEFENSES`). Another plugin's is
chosen by the SHA-256 of its name; where the hue is taken in the same figure it goes on to the next
look of a free hue, in the order of the names. Variants of one plugin (`hag:steps=20` beside `hag`)
share its hue as long as there is a look of it, the first one by name having the plugin's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from hashbench.reports.board.counting import is_control
from hashbench.reports.plots.style import LIGHT, Theme

Dash = tuple[float, tuple[float, ...]]
"""Offset, then lengths of line and gap in turn, in line widths; no lengths make a solid line."""

SOLID: Final[Dash] = (0, ())

_DOT, _SHORT, _LONG = 1.0, 4.0, 8.0
_PATTERNS: Final = (
    (_SHORT,),
    (_DOT,),
    (_SHORT, _DOT),
    (_LONG,),
    (_LONG, _DOT),
    (_SHORT, _DOT, _DOT),
    (_LONG, _SHORT),
    (_LONG, _DOT, _DOT),
    (_SHORT, _SHORT, _DOT),
    (_LONG, _SHORT, _DOT),
    (_LONG, _SHORT, _SHORT),
    (_SHORT, _DOT, _DOT, _DOT),
)
_GAPS: Final = (1.5, 3.0)
DASHES: Final[tuple[Dash, ...]] = tuple(
    (0, tuple(chain.from_iterable((length, gap) for length in pattern)))
    for gap in _GAPS
    for pattern in _PATTERNS
)
HATCHES: Final = (
    "////", "...", "xxxx", "----", "\\\\\\\\", "||||", "oo", "++++",
    "//..", "--..", "||..", "xx..", "\\\\..", "++..", "//--", "//||",
    "\\\\--", "\\\\||", "//oo", "--oo", "||oo", "\\\\oo", "xxoo", "++oo",
)  # fmt: skip
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
SLOTS: Final = len(HATCHES)

ATTACKS: Final[Mapping[str, int]] = {
    "hag": 0,
    "sdha": 1,
    "smooth-ap": 2,
    "mainstay": 3,
    "random-search": 4,
    "pgd-hamming": 5,
    "auto": 6,
    "transfer": 7,
    "ranked-search": 8,
    "universal": 9,
    "dhta": 10,
    "tha": 11,
    "pros-gan": 12,
    "nag": 13,
    "p2p": 14,
    "evade": 16,
    "collide": 17,
    "evade-by-distance": 18,
    "collide-by-distance": 19,
}
"""The look of every attack that ships but the control, which is grey: a place in these lists."""

DEFENSES: Final[Mapping[str, int]] = {
    "none": 5,
    "cgat": 0,
    "atrdh": 2,
    "saat": 6,
    "jpeg": 1,
    "bit-depth": 4,
    "resize-pad": 3,
    "certified": 15,
    "control-scaled": 8,
    "control-random": 10,
    "control-quantised": 14,
    "control-collapsed": 9,
    "control-order": 7,
}
"""The same of the defenses."""


HASHES: Final[Mapping[str, int]] = {"pdq": 0, "phash": 1, "dhash": 2, "ahash": 3}
"""The same of fixed hashes."""


@dataclass(frozen=True)
class Look:
    """How one series is drawn, in colour and without.

    Attributes:
        color: of face and line.
        dash: of its line.
        marker: of its points.
        hatch: on its bars; empty for none.
        edge: of bars that have an edge of their own; empty for none.
        strokes: the colour of the hatch.
        slot: its place among the looks; -1 of one that stands outside of them.
    """

    color: str
    dash: Dash
    marker: str
    hatch: str
    edge: str = ""
    strokes: str = "#ffffff"
    slot: int = -1


def clean_look(theme: Theme = LIGHT) -> Look:
    """Of clean queries."""
    return Look(theme.ink, SOLID, "o", "")


def worst_look(theme: Theme = LIGHT) -> Look:
    """Of the worst case: hollow, with wide strokes."""
    return Look(theme.page, SOLID, "*", "///", edge=theme.ink, strokes=theme.ink)


def attack_looks(attacks: Sequence[str], theme: Theme = LIGHT) -> dict[str, Look]:
    """A look for each attack of a figure; the first control is plain grey."""
    control = next(iter(sorted((name for name in attacks if is_control(name)), key=_first)), None)
    others = [name for name in attacks if name != control]
    found = _looks(others, ATTACKS, theme)
    if control is not None:
        found[control] = Look(theme.control, (0, (2, 1)), "x", "")
    return {attack: found[attack] for attack in attacks}


def defense_looks(defenses: Sequence[str], theme: Theme = LIGHT) -> dict[str, Look]:
    """A look for each defense of a figure."""
    found = _looks(defenses, DEFENSES, theme)
    return {defense: found[defense] for defense in defenses}


def hash_looks(hashes: Sequence[str], theme: Theme = LIGHT) -> dict[str, Look]:
    """A look for each fixed hash of a figure."""
    found = _looks(hashes, HASHES, theme)
    return {name: found[name] for name in hashes}


def _looks(names: Iterable[str], known: Mapping[str, int], theme: Theme) -> dict[str, Look]:
    return {
        name: Look(
            color=theme.palette[slot % len(theme.palette)],
            dash=DASHES[slot],
            marker=MARKERS[slot % len(MARKERS)],
            hatch=HATCHES[slot],
            strokes=_strokes(theme.palette[slot % len(theme.palette)]),
            slot=slot,
        )
        for name, slot in slots(names, known, len(theme.palette)).items()
    }


def slots(names: Iterable[str], known: Mapping[str, int], hues: int = 8) -> dict[str, int]:
    """A look's place for each name; no two share one, up to 24 names.

    Args:
        names: canonical texts of plugins, each once.
        known: the places of those that ship, by the plugin's name.
        hues: how many there are; place s has the hue s modulo that.
    """
    ordered = sorted(names, key=_first)
    first: dict[str, str] = {}
    for name in ordered:
        first.setdefault(_plugin(name), name)
    taken: dict[str, int] = {}
    for plugin in sorted(first, key=lambda plugin: (plugin not in known, plugin)):
        wanted = known.get(plugin)
        if wanted is None:
            digest = hashlib.sha256(plugin.encode("utf-8", "surrogatepass")).digest()
            start = int.from_bytes(digest[:8], "big") % SLOTS
            around = [(start + step) % SLOTS for step in range(SLOTS)]
            used = {slot % hues for slot in taken.values()}
            wanted = _free([s for s in around if s % hues not in used] + around, taken)
        taken[first[plugin]] = wanted
    for name in ordered:
        if name not in taken:
            own = taken[first[_plugin(name)]]
            around = [(own + step) % SLOTS for step in range(SLOTS)]
            taken[name] = _free([s for s in around if (s - own) % hues == 0] + around, taken)
    return taken


def _free(wanted: Sequence[int], taken: Mapping[str, int]) -> int:
    """The first that is free; past 24 names looks repeat."""
    used = set(taken.values())
    return next((slot for slot in wanted if slot not in used), wanted[0])


def _plugin(name: str) -> str:
    return name.partition(":")[0]


def _first(name: str) -> tuple[str, str]:
    """Variants behind each other, the plain name first."""
    plugin, _, rest = name.partition(":")
    return plugin, rest


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb`, from 0 for black to 1 (WCAG 2, from sRGB)."""
    shares = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _strokes(face: str) -> str:
    """Of a hatch: whichever of white and black is seen better on the face."""
    return max(("#ffffff", "#000000"), key=lambda color: contrast(color, face))
