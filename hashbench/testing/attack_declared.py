"""Checks that an attack is what its card and its methods say."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

from hashbench.errors import PluginError
from hashbench.plugins.parameters import Spec
from hashbench.testing.attack_answers import USABLE
from hashbench.testing.case import ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage


@check("stays-within-access", "it looks at the model as its card says", needs=["answers"])
def stays_within_access(stage: AttackStage) -> None:
    _granted(stage, "access")


@check("reads-what-it-declares", "it reads no more than its card asks for", needs=["answers"])
def reads_what_it_declares(stage: AttackStage) -> None:
    _granted(stage, "knowledge")


def _granted(stage: AttackStage, what: str) -> None:
    try:
        stage.call(ordinary(), as_declared=(what,))
    except PluginError as error:
        require(False, str(error))


@check("pass-count", "it makes no more passes per query than passes() says", needs=USABLE)
def pass_count(stage: AttackStage) -> None:
    passes, trial = stage.attack.passes(), stage.usual
    require(
        isinstance(passes, int) and passes >= 0,
        f"passes() returned {passes!r}, expected a whole number from 0",
    )
    allowed = passes * len(trial.case.images)
    for what, count in (("forward", trial.forwards), ("backward", trial.backwards)):
        require(
            count <= allowed,
            f"passes() says {passes}, but it made {count / len(trial.case.images):g} {what} passes "
            "per query",
        )


@check("surrogate", "its surrogate is made of plugins that there are")
def surrogate(stage: AttackStage) -> None:
    wanted = stage.attack.surrogate()
    skip_unless(wanted is not None, "no surrogate")
    from hashbench import plugins

    assert wanted is not None
    for kind, text in (("backbone", wanted.backbone), ("loss", wanted.loss)):
        if text is None:
            continue
        require(Spec.parse(text).name in plugins.names(kind), f"there is no {kind} '{text}'")
        plugins.get(kind, text)


DECLARED: tuple[Check[AttackStage], ...] = (
    stays_within_access,
    reads_what_it_declares,
    pass_count,
    surrogate,
)
