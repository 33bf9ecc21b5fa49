"""The plugins whose code a step runs: any of them may be to blame for its failure."""

from __future__ import annotations

from hashbench.plugins.base import Plugin
from hashbench.runner.step_kinds import is_known
from hashbench.runner.steps import Step


def plugins_of(step: Step) -> tuple[Plugin, ...]:
    """Every plugin that takes part in a step, or in what it is made from."""
    if not is_known(step):
        return ()
    setting = step.setting
    own = [getattr(step, name, None) for name in ("attack", "defense", "wrapper", "hasher")]
    shared = [getattr(setting, name, None) for name in ("loss", "backbone", "source")]
    named = (*own, *shared, getattr(shared[-1], "dataset", None))
    found = {id(plugin): plugin for plugin in named if isinstance(plugin, Plugin)}
    for before in step.upstream:
        found |= {id(plugin): plugin for plugin in plugins_of(before)}
    return tuple(found.values())
