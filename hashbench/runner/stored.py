"""Whether what a step has written can be used: whole, and something that it can have written."""

from __future__ import annotations

from hashbench.errors import FileError
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Store
from hashbench.runner.loading import codes_of, probe_of
from hashbench.runner.steps import AdversarialCodes, ModelCodes, Probe, Scores, Step


def is_usable(step: Step, store: Store, known: dict[str, Measured]) -> bool:
    """Whether a step need not be made again.

    What reads an artifact would refuse it by the same rules; so whatever damage there is, whoever
    made it, the next run mends it.

    Args:
        step: any.
        store: where its artifact may lie.
        known: by the keys of scores, what was read of them already; gets what is read now.
    """
    try:
        if isinstance(step, Scores):
            if step.key not in known:
                found = measured(store, step.address, step.setting.source.protocol)
                if found is None:
                    return False
                known[step.key] = found
            return True
        if isinstance(step, ModelCodes | AdversarialCodes | Probe):
            artifact = store.artifact(step.address)
            if artifact is None:
                return False
            if isinstance(step, Probe):
                probe_of(artifact)
            else:
                codes_of(step, artifact)
            return True
    except FileError:
        return False
    return store.has(step.address)
