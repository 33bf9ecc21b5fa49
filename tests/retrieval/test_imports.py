"""The room is quick to import: torch and pandas come in only with those who use them."""

from __future__ import annotations

import subprocess
import sys


def test_importing_and_scoring_needs_numpy_alone() -> None:
    script = (
        "import sys, numpy as np, hashbench.retrieval as r\n"
        "r.average_precision(np.ones((1, 4)), np.ones((3, 4)), [[1]], [[1], [0], [1]])\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'numba'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_public_name_is_there() -> None:
    import hashbench.retrieval as room

    assert room.__all__ == sorted(
        room.__all__, key=lambda name: (name.islower(), not name.isupper(), name)
    )
    for name in room.__all__:
        assert getattr(room, name).__doc__
