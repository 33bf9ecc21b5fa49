"""How a command must end that was given a stranger's file: cheaply, in one sentence naming it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from support.trials import Trial

MEGABYTES = 200


def problems(trial: Trial, path: Path, codes: tuple[int, ...] = (0, 2)) -> list[str]:
    """What is wrong with how a command ended that was given a bad file; `codes` are its to have."""
    text = trial.err
    found = []
    if trial.hung:
        found.append("hung")
    if trial.crashed or trial.code not in codes:
        found.append(f"ended with {trial.code}: {text[-600:]}")
    if trial.megabytes > MEGABYTES:
        found.append(f"took {trial.megabytes:.0f} MB")
    steering = [c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
    if steering:
        found.append(f"wrote {steering[:3]!r}")
    if trial.code == 2:
        lines = text.strip().split("\n")
        if len(lines) != 1 or not lines[0].startswith("Error: "):
            found.append(f"said {text!r}")
        elif str(path) not in text or len(text) > 1_000:
            found.append(f"names no file, or at length: {text[:1_000]!r}")
        if "weights_only" in text:
            found.append(f"passes on torch's advice: {text!r}")
    return found
