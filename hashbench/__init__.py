"""hashbench: a benchmark of adversarial robustness for deep hashing retrieval.

The public API; everything is imported when it is first used, so `import hashbench` is quick.

    import hashbench
    results = hashbench.run("quick", out="results")
    results.to_frame()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hashbench.deprecated import former_names

if TYPE_CHECKING:
    from hashbench import attacking as attacking
    from hashbench import certifying as certifying
    from hashbench import data as data
    from hashbench import defending as defending
    from hashbench import hashing as hashing
    from hashbench import plugins as plugins
    from hashbench import results as results
    from hashbench import retrieval as retrieval
    from hashbench import testing as testing
    from hashbench.eps import Eps as Eps
    from hashbench.eps import Norm as Norm
    from hashbench.errors import HashbenchError as HashbenchError
    from hashbench.errors import PluginError as PluginError
    from hashbench.errors import ResultsWarning as ResultsWarning
    from hashbench.errors import UsageError as UsageError
    from hashbench.results.load import load_results as load_results
    from hashbench.results.results import Results as Results
    from hashbench.runner.evaluate import evaluate as evaluate
    from hashbench.runner.reporter import Reporter as Reporter
    from hashbench.runner.run import run as run
    from hashbench.runner.suite import Suite as Suite
    from hashbench.runner.suite import load as load_suite

    __version__: str

_HOMES = {
    "Eps": ("hashbench.eps", "Eps"),
    "HashbenchError": ("hashbench.errors", "HashbenchError"),
    "Norm": ("hashbench.eps", "Norm"),
    "PluginError": ("hashbench.errors", "PluginError"),
    "Reporter": ("hashbench.runner.reporter", "Reporter"),
    "Results": ("hashbench.results.results", "Results"),
    "ResultsWarning": ("hashbench.errors", "ResultsWarning"),
    "Suite": ("hashbench.runner.suite", "Suite"),
    "UsageError": ("hashbench.errors", "UsageError"),
    "evaluate": ("hashbench.runner.evaluate", "evaluate"),
    "load_results": ("hashbench.results.load", "load_results"),
    "load_suite": ("hashbench.runner.suite", "load"),
    "run": ("hashbench.runner.run", "run"),
}
_ROOMS = (
    "attacking",
    "certifying",
    "data",
    "defending",
    "hashing",
    "plugins",
    "results",
    "retrieval",
    "testing",
)
_former = former_names(__name__, {"evaluation": "hashbench.attacking"}, gone="0.2", callers=2)

__all__ = [
    "Eps",
    "HashbenchError",
    "PluginError",
    "Reporter",
    "Results",
    "ResultsWarning",
    "Suite",
    "UsageError",
    "attacking",
    "certifying",
    "data",
    "defending",
    "evaluate",
    "hashing",
    "load_results",
    "load_suite",
    "plugins",
    "results",
    "retrieval",
    "run",
    "testing",
]


if not TYPE_CHECKING:  # for checkers a name that is not above is a mistake

    def __getattr__(name: str) -> object:
        if name == "__version__":  # as it is installed; finding that out takes longer than all else
            return import_module("importlib.metadata").version(__name__)
        if name in _ROOMS:
            return import_module(f"hashbench.{name}")
        if name in _HOMES:
            module, attribute = _HOMES[name]
            return getattr(import_module(module), attribute)
        return _former(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
