"""A script that runs an experiment and reads what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import pandas as pd

import hashbench
from hashbench import Eps, HashbenchError, Results, Suite, UsageError

suite = hashbench.load_suite("quick")
assert_type(suite, Suite)
assert_type(hashbench.Eps.parse("8/255"), Eps)


def measured(out: Path) -> Results:
    """The quick suite."""
    try:
        return hashbench.run(suite, out=out, workers=2)
    except UsageError as error:
        assert_type(error, UsageError)
        raise
    except hashbench.HashbenchError as error:
        assert_type(error, HashbenchError)
        return hashbench.load_results(out)


results = measured(Path("results"))
assert_type(hashbench.run("quick"), Results)
assert_type(hashbench.run(), Results)
assert_type(hashbench.load_results("results"), Results)
assert_type(results.to_frame(), pd.DataFrame)
for result in results.failed:
    assert_type(result, hashbench.results.CellResult)
    assert_type(result.cell, hashbench.results.Cell)
    assert_type(result.cell.attack, str)
    assert_type(result.status, hashbench.results.Status)
