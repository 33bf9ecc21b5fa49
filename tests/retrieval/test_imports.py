"""The room is quick to import: torch and pandas come in only with those who use them."""

from __future__ import annotations

import subprocess
import sys

import hashbench.retrieval as room


def test_importing_and_scoring_needs_numpy_alone() -> None:
    script = (
        "import sys, numpy as np, hashbench.retrieval as r\n"
        "r.average_precision(np.ones((1, 4)), np.ones((3, 4)), [[1]], [[1], [0], [1]])\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'numba'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[]\n"


def test_every_public_name_is_there_and_documented() -> None:
    for name in room.__all__:
        assert getattr(room, name).__doc__
