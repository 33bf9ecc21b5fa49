"""Cards: what a plugin says about itself. Pure data; imports only kinds and norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hashbench.eps import Norm
from hashbench.plugins.kinds import Kind

API: Final = 1
"""The version of the plugin interface that this hashbench has: what a contract asks of a plugin
and hands to it. A plugin that was written for a later one cannot work here."""


class Access(StrEnum):
    """How an attack may look at the model; the values are stored, so they are codes."""

    NONE = "none"  # never asks the model
    RANKING = "ranking"  # ranked lists only
    DISTANCES = "distances"  # Hamming distances to a given code only
    CODES = "codes"  # codes only
    GRADIENT = "gradient"


class Aim(StrEnum):
    """Where an attack wants the query to lead."""

    UNTARGETED = "untargeted"  # away from what it is relevant to
    TARGETED = "targeted"  # to what shares a label with a target


class Knowledge(StrEnum):
    """What an attack is told besides the query image; the values are codes, as those of Access."""

    LABELS = "labels"  # the query's own label row
    TRAINING = "training"  # codes and labels of the training set, hence center codes


class Draws(StrEnum):
    """What an attack does at a model that draws at random in each pass, such as `resize-pad`."""

    EXPECTED_LOSS = "expected-loss"  # lowers the mean of its loss over the draws (EOT)
    MEAN_OUTPUT = "mean-output"  # takes the mean of the draws' outputs for the output
    MEAN_SCORE = "mean-score"  # judges what it tries by the mean over the draws
    SINGLE = "single"  # takes the answer of each draw as it comes


@dataclass(frozen=True)
class Card:
    """What is known of a plugin before it is built.

    Attributes:
        kind: what it is.
        name: how a user types it, in kebab-case.
        summary: the first line of the class's docstring.
        cite: free text, an address, whole BibTeX entries, or a key of hashbench's own bibliography;
            empty where there is nothing to cite.
        version: the author's own version of the method; part of every key in the store, so
            raising it makes old results of this plugin count no longer.
        presets: named sets of parameters, typed as `name@preset`.
        access: for an attack, how it looks at the model; `None` for other kinds.
        knowledge: for an attack, what it is told; empty for a label-free one.
        aim: for an attack, where it leads unless its parameters say otherwise; `None` for other
            kinds.
        draws: for an attack that asks the attacked model, what it does where that draws.
        norms: for an attack, of which norms a ball may be that it works in; empty for other kinds.
        api: the version of the plugin interface that it was written for.
    """

    kind: Kind
    name: str
    summary: str
    cite: str = ""
    version: str = "1"
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    access: Access | None = None
    knowledge: frozenset[Knowledge] = frozenset()
    aim: Aim | None = None
    draws: Draws | None = None
    norms: frozenset[Norm] = frozenset()
    api: int = 1
