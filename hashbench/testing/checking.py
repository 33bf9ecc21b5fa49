"""Checks and how they are run: each is a function of the plugin's stage, with a name and a rule."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from hashbench.attacking.attacked_model import OutOfPassesError
from hashbench.errors import PluginError, UsageError
from hashbench.plugins.base import Plugin
from hashbench.plugins.blame import defined_at, own_place, wrongly_made
from hashbench.suggestions import did_you_mean
from hashbench.testing.outcome import Outcome, Verdict

StageT = TypeVar("StageT")


class NotKeptError(Exception):
    """A rule was broken; its text is the sentence that says how."""


class NotTriedError(Exception):
    """A rule does not apply; its text says why."""


def require(kept: bool, sentence: str) -> None:
    """Go on where a rule was kept.

    Raises:
        NotKeptError: it was not.
    """
    if not kept:
        raise NotKeptError(sentence)


def skip_unless(applies: bool, why: str) -> None:
    """Go on where a rule applies.

    Raises:
        NotTriedError: it does not.
    """
    if not applies:
        raise NotTriedError(why)


@dataclass(frozen=True)
class Check(Generic[StageT]):
    """One rule.

    Attributes:
        name: what reports call it.
        rule: the sentence that holds of a plugin that keeps it.
        run: tries it; returns, or raises NotKeptError or NotTriedError.
        needs: checks without which this one says nothing: not tried where one of them failed.
        method: the method of the plugin that has to keep it; empty for the stage's usual one.
    """

    name: str
    rule: str
    run: Callable[[StageT], None]
    needs: tuple[str, ...] = ()
    method: str = ""


CLASS = "class"
"""What stands for a method in a rule on the class itself."""


def check(
    name: str, rule: str, *, needs: Sequence[str] = (), method: str = ""
) -> Callable[[Callable[[StageT], None]], Check[StageT]]:
    """Make a check of a function; arguments as `Check`."""
    return lambda run: Check(name, rule, run, tuple(needs), method)


def run_checks(
    stage: StageT, checks: Sequence[Check[StageT]], expected: Mapping[str, str]
) -> tuple[Outcome, ...]:
    """Try all checks in their order.

    Args:
        stage: what they are tried on.
        checks: those of its kind.
        expected: reasons by the names of checks that are declared to fail.

    Raises:
        UsageError: `expected` names no check.
    """
    known = [one.name for one in checks]
    for name in expected:
        if name not in known:
            raise UsageError(f"there is no check '{name}'{did_you_mean(name, known)}")
    fallen: set[str] = set()
    outcomes = []
    for one in checks:
        missing = [name for name in one.needs if name in fallen]
        if missing:
            outcome = Outcome(one.name, Verdict.SKIPPED, f"needs {missing[0]}")
            fallen.add(one.name)
        else:
            outcome = _tried(stage, one)
            if outcome.verdict is Verdict.FAILED:
                fallen.add(one.name)
            if one.name in expected:
                outcome = _as_declared(outcome, expected[one.name])
        outcomes.append(outcome)
    return tuple(outcomes)


def _tried(stage: StageT, one: Check[StageT]) -> Outcome:
    try:
        one.run(stage)
    except NotTriedError as skipped:
        return Outcome(one.name, Verdict.SKIPPED, str(skipped))
    except NotKeptError as broken:
        return _failed(stage, one, str(broken))
    except PluginError as broken:
        return _failed(stage, one, str(broken), broken)
    except OutOfPassesError:
        return _failed(stage, one, "it asks for passes without end")
    except (Exception, SystemExit) as error:  # a plugin may raise anything
        return _failed(stage, one, f"it raised {said(error)}", error)
    return Outcome(one.name, Verdict.PASSED, one.rule)


def _failed(
    stage: StageT, one: Check[StageT], sentence: str, error: BaseException | None = None
) -> Outcome:
    """A rule that was not kept, with the place where it was not."""
    plugin = getattr(stage, "plugin", None)
    trace = "" if error is None else "".join(traceback.format_exception(error))
    if not isinstance(plugin, Plugin):  # a stage of the tests
        return Outcome(one.name, Verdict.FAILED, sentence, traceback=trace)
    place = "" if error is None else own_place(error, plugin)
    return Outcome(one.name, Verdict.FAILED, sentence, place or _kept_at(stage, one, plugin), trace)


def _kept_at(stage: object, one: Check[Any], plugin: Plugin) -> str:
    """Where the class or the method is written that has to keep a rule."""
    if one.method == CLASS:
        return defined_at(plugin)
    if one.method:
        return defined_at(plugin, one.method)
    return defined_at(*getattr(stage, "blamed", (plugin, "")))


def _as_declared(outcome: Outcome, why: str) -> Outcome:
    match outcome.verdict:
        case Verdict.FAILED:
            return replace(
                outcome, verdict=Verdict.EXPECTED, sentence=f"{outcome.sentence} ({why})"
            )
        case Verdict.PASSED:
            sentence = f"it is declared to fail ({why}), but passes"
            return Outcome(outcome.check, Verdict.FAILED, sentence)
        case _:
            return outcome


def said(error: BaseException) -> str:
    """An error's type and the first line of what it says."""
    if made := wrongly_made(error):
        return made
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
