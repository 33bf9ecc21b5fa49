"""docs/plugins.md: every plugin that ships, from the registry. Run it to write the page anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill
from typing import Final

from hashbench import plugins
from hashbench.plugins import Access, Aim, Card, Kind, Knowledge, Norm
from hashbench.plugins.bibliography import Reference, references

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PAGE: Final = REPOSITORY / "docs/plugins.md"

HEAD: Final = """# All plugins

Every plugin that ships, from its card: what it does, and what it comes from. A name is typed as it
stands here (`--attack hag`), with parameters behind a colon (`--attack hag:steps=500`), a preset
behind an `@` (`--attack hag@published`). `hashbench show NAME` explains one: its formula, its
parameters, what its presets say. A source stands by its key; `hashbench cite NAME` prints the whole
entry. Your own plugins are written as [writing-plugins.md](writing-plugins.md) says.

This page is written by `python tests/support/plugins_page.py`.
"""

TAIL: Final = """
What to read next: [attacks.md](attacks.md) for what the attacks do and how strong they are.
"""

ABOUT: Final = {
    Kind.ATTACK: "How strong each was measured to be is in [attacks.md](attacks.md). What an "
    "attack sees is how it looks at the attacked model; what it is told comes on top of the "
    "query's image. Targeted ones lead a query to another label, and are scored by t-mAP. An "
    "attack works in balls of the norms beside it: a radius is written `8/255`, or `l2:0.5`.",
    Kind.DEFENSE: "Formulas, defaults, costs and traps are in [defenses.md](defenses.md). Those "
    "that begin with `control-` are wrong on purpose: they show what the "
    "[flags](flags.md) catch.",
    Kind.LOSS: "What a loss trains, and the recipes of the papers, are in "
    "[training.md](training.md).",
    Kind.BACKBONE: "Weights, inputs and what torchvision and timm bring are in "
    "[models.md](models.md).",
    Kind.DATASET: "Where the files come from, and how they have to lie, is in [data.md](data.md).",
    Kind.HASHER: "Fixed hashes, which nobody trains here: a picture's code by the library that "
    "people run. Of `hashbench match --hash NAME`.",
    Kind.FORMAT: "Of `hashbench report --format NAME`.",
}

SEES: Final = {
    Access.GRADIENT: "gradients",
    Access.CODES: "codes",
    Access.RANKING: "ranked lists",
    Access.NONE: "nothing",
}

LEADS: Final = {Aim.UNTARGETED: "away", Aim.TARGETED: "to a target"}

TOLD: Final = {Knowledge.LABELS: "labels", Knowledge.TRAINING: "training codes"}


def shipped(kind: Kind) -> list[Card]:
    """The cards of the plugins of a kind that ship, by name."""
    entries = plugins.registry(kind).entries
    return sorted(
        (
            entry.plugin.card
            for (own, _), found in entries.items()
            for entry in found
            if own is kind and entry.plugin.__module__.startswith("hashbench.")
        ),
        key=lambda card: card.name,
    )


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind in TITLES:
        cards = shipped(kind)
        rows = [row(card) for card in cards]
        titles = [title for title in rows[0] if any(each[title] for each in rows)]
        parts.append(f"\n## {TITLES[kind]}\n\n{fill(ABOUT[kind], 100)}\n\n")
        parts.append(_line(titles) + _line("---" for _ in titles))
        parts += [_line(each[title] for title in titles) for each in rows]
    return "".join([*parts, TAIL])


TITLES: Final = {
    Kind.ATTACK: "Attacks",
    Kind.DEFENSE: "Defenses",
    Kind.LOSS: "Losses",
    Kind.BACKBONE: "Backbones",
    Kind.DATASET: "Data sets",
    Kind.HASHER: "Fixed hashes",
    Kind.FORMAT: "Report formats",
}


def row(card: Card) -> dict[str, str]:
    """One plugin's line, by the titles of the columns; empty where a kind has no such thing."""
    attack = card.kind is Kind.ATTACK
    targets = ["targets"] if card.aim is Aim.TARGETED else []
    told = [*targets, *(TOLD[known] for known in Knowledge if known in card.knowledge)]
    return {
        "name": f"`{card.name}`",
        "what it does": card.summary,
        "sees": SEES[card.access] if card.access else "",
        "is told": (", ".join(told) or "nothing") if attack else "",
        "leads a query": LEADS[card.aim] if card.aim else "",
        "works in": ", ".join(norm for norm in Norm if norm in card.norms),
        "presets": ", ".join(f"`{name}`" for name in card.presets),
        "source": ", ".join(map(cited, references(card.kind, card.name))),
    }


def cited(reference: Reference) -> str:
    """A source by its key, as a link where it is found somewhere."""
    return f"[{reference.key}]({reference.url})" if reference.url else reference.key


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
