"""Matplotlib as it ships: nothing around the process takes part in its import.

On import it reads a file `matplotlibrc` of the working folder, of MATPLOTLIBRC and of the user's
settings, and takes MPLBACKEND, which every notebook sets for the commands that it starts: a value
that means nothing here ends the import. Figures are drawn without a backend.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from contextlib import ExitStack
from pathlib import Path


def import_as_shipped() -> None:
    """Import it with no settings but its own; one that was imported before has read others.

    While that takes, the process has another working folder and no such variables.
    """
    found = importlib.util.find_spec("matplotlib")
    if "matplotlib" in sys.modules or found is None or found.origin is None:
        return
    names = ("MPLBACKEND", "MATPLOTLIBRC")
    values = {name: os.environ.pop(name) for name in names if name in os.environ}
    with ExitStack() as after:
        after.callback(os.environ.update, values)
        here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))  # it may have no name any more
        after.callback(os.close, here)
        after.callback(os.fchdir, here)
        os.chdir(Path(found.origin).parent / "mpl-data")  # where the settings lie that ship
        importlib.import_module("matplotlib")
