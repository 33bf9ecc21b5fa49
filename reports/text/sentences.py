"""The sentences of a report: title, caption and verdict of a leaderboard. Pure text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from hashbench.characters import shown
from hashbench.data.protocol import PixelValues
from hashbench.eps import Norm
from hashbench.reports.board.findings import at_or_below, printed
from hashbench.reports.board.leaderboard import NO_RADIUS, Leaderboard
from hashbench.reports.board.over_seeds import Entry
from hashbench.reports.board.row import Row
from hashbench.results.intervals import LEVEL, RESAMPLES

BELOW_CHANCE = "†"
"""Stands behind a value at or below chance."""

WORTHLESS = "‡"
"""Stands behind a certificate that proves no more than chance."""

FLAGGED = "!"
"""Stands in the place of a rank where a flag is up."""

LONGEST_REASON = 400
"""Characters of a reason that a report shows; the CSV has all of it."""

HASH = 8
"""Characters of a hash that a report shows."""

_TIES = {
    "expected": "mean over all orders of equal distances",
    "stable": "equal distances in the order of the database",
    "best": "equal distances in the best order of each query",
    "worst": "equal distances in the worst order of each query",
}
_NORMALIZERS = {
    "retrieved": "the relevant images in the list",
    "relevant": "all relevant images of the database",
    "capped": "the most relevant images that the list can hold",
}
_PIXELS: Final[dict[str, str]] = {
    PixelValues.EIGHT_BIT.value: "Attacked images are scored in whole pixels of 8 bits: each is "
    "rounded to the nearest one inside the ball. ",
}
"""What is said of attacked images that are not scored as the attack returned them."""

_ESCAPE_SEQUENCE = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")


def one_line(text: str) -> str:
    """Text of foreign origin on one line, without colours; what else steers, by its number."""
    return shown(" ".join(_ESCAPE_SEQUENCE.sub("", text).split()))


def shortened(text: str) -> str:
    """A reason on one line and of a length that a page can bear."""
    line = one_line(text)
    if len(line) <= LONGEST_REASON:
        return line
    return f"{line[:LONGEST_REASON].rstrip()} [...] (the csv report has all of it)"


def title(board: Leaderboard) -> str:
    """What the table is of: data set, loss, backbone, bits and eps as written."""
    group = board.group
    parts = [group.dataset, group.loss, group.backbone, f"{group.bits} bits"]
    if group.eps != NO_RADIUS or board.attacked:
        parts.append(f"eps {group.eps}")
    trained = str(_table(board.training, "budget").get("eps", ""))
    if board.attacked and trained and radius(trained) != radius(group.eps) and _trains(board):
        parts.append(f"trained at {radius(trained)}")
    if board.attacked and board.protocol.pixels != PixelValues.FLOAT:
        parts.append(f"pixels {board.protocol.pixels}")
    return ", ".join(one_line(part) for part in parts)


def _trains(board: Leaderboard) -> bool:
    """Whether the radius that defenses are trained for says anything of the table.

    It is of L-infinity, so it differs from every L2 radius; of undefended models it says nothing.
    """
    return board.group.radius.norm is Norm.LINF or any(row.defense != "none" for row in board.rows)


def metric(board: Leaderboard) -> str:
    """MAP with its list length, which it is never named without."""
    length = board.protocol.top_k
    return "mAP over the whole ranking" if length is None else f"mAP@{length}"


def caption(board: Leaderboard) -> tuple[str, ...]:
    """All that a reader needs to compare this table with another: one paragraph per line."""
    sure = (_sure(board),) if board.has_intervals else ()
    return (_data(board), _score(board), _seeds(board), *sure, _training(board), _computed(board))


def verdicts(board: Leaderboard) -> tuple[str, ...]:
    """What must be said before anybody reads a number, if there is anything."""
    found = []
    if board.shows_nothing and board.chance is not None:
        found.append(
            "This table shows no robustness: every model is at chance "
            f"({printed(board.chance):.1f}) in every column, with and without an attack."
        )
    elif board.nobody_resists:
        found.append(
            "No model here resists: every worst case is at or below chance, where a random order "
            "would score as much."
        )
    if not board.attacks and board.targeted:
        found.append("Only targeted attacks were run; they rank nothing.")
    elif not board.attacks:
        found.append("Nothing was attacked, so nothing is ranked.")
    elif not board.can_rank:
        found.append("noise is a control and the only attack, so nothing is ranked.")
    return tuple(found)


def in_brief(board: Leaderboard) -> tuple[str, ...]:
    """What the ranking rests on, where no caption says it; nothing where nothing is ranked."""
    if not board.can_rank:
        return ()
    words = (
        f"Worst case: per query the lowest AP over {_counted(board)}, then the mean; it ranks the "
        "models. Chance: a random order. Floor: the opposite of the center codes."
    )
    if not board.has_intervals:
        return (words,)
    one = (
        "" if len(board.seeds) > 1 else " One seed: nothing is known of how much a training varies."
    )
    return (words, f"95 % interval: for other queries of the same kind.{one}")


def marked(entry: Entry, board: Leaderboard) -> bool:
    """Whether a value stands at or below chance."""
    mean = entry.mean
    return mean is not None and board.chance is not None and at_or_below(mean, board.chance)


def seeds_in_brackets(board: Leaderboard, what: str) -> str:
    """For the title of a plot: what is drawn of several seeds; empty for one."""
    count = len(board.seeds)
    return f" ({what} of {count} seeds)" if count > 1 else ""


def why_not_ranked(row: Row, board: Leaderboard) -> str:
    """In a word, for where a sentence has no room; empty where the row is ranked.

    The first flag speaks for a row: a model at chance is worse than one cell less.
    """
    if not board.can_rank or row.rank is not None:
        return ""
    return next(iter(row.codes), "incomplete")


def radius(written: str) -> str:
    """An exact fraction over 255 where that is a whole number of steps: `24/255` for `8/85`."""
    try:
        steps = Fraction(written) * 255
    except (ValueError, ZeroDivisionError):
        return written
    return f"{steps.numerator}/255" if steps.denominator == 1 and steps else written


def heading(written: str) -> str:
    """A radius above a column: `24/255`, and with its norm where that is L2, `l2 0.5`."""
    return one_line(written).replace(":", " ")


def _data(board: Leaderboard) -> str:
    card = board.protocol
    return (
        f"Data: {one_line(card.dataset)}, {card.classes} classes; {card.query:,} queries against "
        f"{card.database:,} images, {card.train:,} to train on. "
        f"Relevant: {one_line(card.relevance)}. {_PIXELS.get(card.pixels, '')}"
        f"Protocol {board.group.protocol[:HASH]}."
    )


def _score(board: Leaderboard) -> str:
    card = board.protocol
    ties = _TIES.get(card.ties, one_line(card.ties))
    normalizer = _NORMALIZERS.get(card.normalize, one_line(card.normalize))
    worst = (
        f" Worst case: per query the lowest AP over {_counted(board)}, then the mean; it ranks the "
        "models."
        if board.can_rank
        else ""
    )
    return (
        f"Score: {metric(board)}, in percent. AP is divided by {normalizer}; ties: {ties}.{worst} "
        "Chance: a random order. Floor: the opposite of the center codes."
    )


def _seeds(board: Leaderboard) -> str:
    group = board.group
    norm = group.radius.norm
    over = " over all pixel values" if norm is Norm.L2 else ""
    threat = (
        f", eps {one_line(group.eps)} ({norm.words}{over}, pixels from 0 to 1)"
        if board.attacked
        else ""
    )
    count = len(board.seeds)
    spread = f": mean ± sample standard deviation over {count} seeds" if count > 1 else ""
    return (
        f"Setting: loss {one_line(group.loss)}, backbone {one_line(group.backbone)}, "
        f"{group.bits} bits{threat}. {'Seeds' if count > 1 else 'Seed'} "
        f"{', '.join(str(seed) for seed in board.seeds)}{spread}."
    )


def _sure(board: Leaderboard) -> str:
    """What the intervals are, and what they are not."""
    training = (
        "the deviation over the seeds is about that"
        if len(board.seeds) > 1
        else "one seed says nothing of it"
    )
    return (
        f"Intervals: {LEVEL:.0%} for other queries of the same kind (bootstrap over the queries, "
        f"BCa, {RESAMPLES:,} draws, the same for all models and attacks). They are not about how "
        f"much a training varies: {training}."
    ).replace("%", " %")


def _training(board: Leaderboard) -> str:
    base, budget = (_table(board.training, key) for key in ("base", "budget"))
    if not base and not budget:
        return "Training: not recorded."
    if "handed_over" in base:
        return "Training: elsewhere; the models were objects of a program, nothing more is known."
    if "imported" in base:
        compared = (
            f"their makers report a clean mAP of {100 * float(base['reported']):.1f}"
            if "reported" in base
            else "no clean mAP of their makers was compared"
        )
        file = str(base["imported"])[:HASH]
        trusted = ", which was unpickled on trust" if base.get("unpickled") else ""
        return f"Training: elsewhere; the weights come from file {file}{trusted}; {compared}."
    if "checkpoint" in base:
        trained = f"from a checkpoint (weights {str(base['checkpoint'])[:HASH]})"
    else:
        trained = _listed(base, {"epochs": "epochs {}"})
    granted = _listed(
        {key: radius(str(value)) if key == "eps" else value for key, value in budget.items()},
        {"epochs": "epochs {}", "inner_steps": "inner steps {}", "eps": "radius {}"},
    )
    own = (
        "; what a defense changed of it stands in its name"
        if any(":" in row.defense for row in board.rows)
        else ""
    )
    return (
        f"Training: base model {trained}. Every trained defense got the same budget on top: "
        f"{granted}{own}."
    )


def _computed(board: Leaderboard) -> str:
    compute = _table(board.training, "compute")
    phrases = {
        "threads": "threads per cell {}",
        "attack_batch": "attack batch {}",
        "device": "device {}",
    }
    setting = _listed(compute, phrases) if compute else "not recorded"
    return f"Computed with: {setting}. Training {board.group.training[:HASH]}."


def _table(training: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = training.get(key)
    return found if isinstance(found, Mapping) else {}


def _listed(values: Mapping[str, Any], phrases: Mapping[str, str]) -> str:
    """Known fields by their phrase and first, the others by name: none is left out."""
    named = [phrase.format(values[key]) for key, phrase in phrases.items() if key in values]
    rest = [
        f"{key.replace('_', ' ')} {values[key]}" for key in sorted(values) if key not in phrases
    ]
    return one_line(", ".join([*named, *rest]))


def _counted(board: Leaderboard) -> str:
    if board.shared == board.attacks:
        return "all untargeted attacks"
    return "the untargeted attacks that all ranked rows share"
