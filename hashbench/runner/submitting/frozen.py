"""The suite of a submission as a file of its own: what is edited later changes no job."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Final

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.results.suite_text import suite_text
from hashbench.runner.suite import Suite
from hashbench.runner.suite_files import MAX_BYTES, PATHS_FROM, WORKING_FOLDER

_MOST_LETTERS: Final = 40


def frozen(suite: Suite) -> str:
    """A suite file, TOML, that asks for the same from the same folder, defaults written out.

    Relative paths start from the working folder, since the text of a path among a plugin's
    parameters is part of what a result is stored under; plugin files are named from the root.

    Args:
        suite: that of a plan, whose plugins' paths start from the working folder already.

    Raises:
        UsageError: a path is no text, or a file of all this would be too long.
    """
    suite = replace(suite, plugin=tuple(path.absolute() for path in suite.plugin))
    plain = suite.to_plain()
    try:
        str(plain).encode()
        for path in (*suite.plugin, *suite.model, suite.root or "", suite.checkpoint or ""):
            str(path).encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"suite {shortened(suite.name)}: a path in it is no name in UTF-8, and a job could not "
            "be told it"
        ) from None
    text = f'{PATHS_FROM} = "{WORKING_FOLDER}"\n' + suite_text(plain, whole_paths=True)
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(
            f"suite {shortened(suite.name)}: as a file it has more than {MAX_BYTES:,} bytes; make "
            "it several"
        )
    return text


def job_name(suite: Suite, text: str) -> str:
    """What its jobs and their files are called: the suite's name, and a hash of what it asks."""
    plain = re.sub(r"[^a-z0-9]+", "-", suite.name.lower()).strip("-")[:_MOST_LETTERS].strip("-")
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return "-".join(part for part in ("hashbench", plain, digest) if part)
