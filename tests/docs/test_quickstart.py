"""examples/quickstart.ipynb runs from its first cell to its last, and its last table holds."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support.package import REPOSITORY

PATH = REPOSITORY / "examples/quickstart.ipynb"
ATTACKS = ("noise", "few-steps", "pgd-hamming", "auto")


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(PATH, as_version=4)


@pytest.fixture(scope="module")
def executed(notebook: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook after a run in an empty folder, and one cell more that prints the last table."""
    copy = deepcopy(notebook)
    copy.cells.append(nbformat.v4.new_code_cell('print(table.to_json(orient="records"))'))
    folder: Path = tmp_path_factory.mktemp("notebook")
    NotebookClient(copy, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return copy


def cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_kept_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert len(cells(notebook)) >= 7
    for cell in cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.slow
def test_no_cell_complains(executed: Any) -> None:
    for cell in cells(executed):
        assert cell.execution_count
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


@pytest.mark.slow
def test_results_show_themselves(executed: Any) -> None:
    shown = [
        output.data["text/html"]
        for cell in cells(executed)
        if cell.source.endswith("\nresults")
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert len(shown) == 2
    assert all("stripes" in html for html in shown)


@pytest.mark.slow
def test_plots_are_shown_as_pictures(executed: Any) -> None:
    plots = [cell for cell in cells(executed) if "results.plot(" in cell.source]
    assert len(plots) == 2
    for cell in plots:
        (output,) = cell.outputs
        assert output.data["image/png"]


@pytest.mark.slow
def test_the_last_table_holds(executed: Any) -> None:
    rows = json.loads(executed.cells[-1].outputs[0].text)
    assert {row["eps"] for row in rows} == {"8/255", "16/255"}
    for row in rows:
        values = [row[name] for name in ("clean", *ATTACKS, "worst case", "chance")]
        assert all(math.isfinite(value) and 0 <= value <= 100 for value in values)
        # A minimum for each query is at most the minimum of the means; one decimal is shown.
        assert row["worst case"] <= min(row[name] for name in ATTACKS)
        assert row["chance"] < row["clean"]
    small, large = sorted(rows, key=lambda row: int(row["eps"].partition("/")[0]))
    assert small["clean"] == large["clean"]
    assert small["chance"] == large["chance"]
