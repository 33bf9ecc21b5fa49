"""Names of metrics: what is written is what is read, and each name is spelled in one place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.board.over_seeds import Entry
from hashbench.results.artifacts import CODES, LOG, PER_QUERY, PROBE, SCORES
from hashbench.results.cell import CLEAN
from hashbench.results.metrics import Metric, is_certified, toward_targets, under
from hashbench.results.results import Results
from hashbench.results.sanity import Column
from hashbench.retrieval import Ties
from hashbench.runner.run import run
from hashbench.runner.suite import Suite

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("hashbench", "attacks", "defenses", "reports")
ATTACKS = ["noise", "pgd-hamming:steps=2", "hag:steps=2", "p2p:steps=2"]


@pytest.fixture
def results(tiny_suite: Callable[..., Suite], tmp_path: Path) -> Results:
    """A run of two radii, whole: untargeted attacks, and a targeted one."""
    found = run(tiny_suite(attack=ATTACKS, eps=["24/255", "0"]), out=tmp_path)
    assert not found.failed
    return found


def gaps(results: Results) -> Iterator[str]:
    """What flags or reports look for and do not find; empty where names agree."""
    (protocol,) = results.protocols.values()
    for key, worst in results.worst_cases.items():
        column = Column(results.cells, key, protocol.metric, protocol.classes, worst)
        evidence = column.evidence()
        yield from (f.name for f in fields(evidence) if getattr(evidence, f.name) is None)
        if not evidence.attacks:
            yield "attacks"
        if not evidence.in_company:
            yield "in_company"
        # Its default would hide that it is missing.
        if all(found.flipped == 0.0 for found in evidence.at_eps_0) and key.eps != "0":
            yield from (
                "flipped"
                for result in results.cells
                if result.cell.attack != CLEAN and Metric.FLIPPED_BITS not in result.metrics
            )
    for board in leaderboards(results):
        for entry in entries(board.rows):
            yield from (gap.reason for gap in entry.gaps)


def entries(value: Any) -> Iterator[Entry]:
    """Every number of a row."""
    if isinstance(value, Entry):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from entries(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from entries(getattr(value, field.name))


def without(results: Results, name: str) -> Results:
    """The results as if a metric had been written under another name."""

    def less(metrics: Mapping[str, float]) -> dict[str, float]:
        return {key: value for key, value in metrics.items() if key != name}

    cells = tuple(replace(result, metrics=less(result.metrics)) for result in results.cells)
    return Results(cells, results.protocols, results.trainings)


WITHOUT_GRADIENTS = {Metric.PROBE_CODES_ALONE}
"""Written for models that give none, and read: `test_codes_alone_are_said_in_the_row_and_the_plan`
of `tests/runner/test_programs.py`."""

OF_FILES = {Metric.QUERIES_IN_DATABASE}
"""Written for data whose queries lie in the database too, with the same content."""


def test_scoring_writes_every_metric_and_what_it_reads_is_there(results: Results) -> None:
    written = {name for result in results.cells for name in result.metrics}
    precisions = {
        name
        for metric in ("map", toward_targets("map"))
        for name in (metric, under(metric, Ties.BEST), under(metric, Ties.WORST))
    }
    proofs = set(filter(is_certified, Metric))  # of cells of their own, where they are asked for
    assert written == {*Metric, *precisions} - WITHOUT_GRADIENTS - OF_FILES - proofs
    assert list(gaps(results)) == []
    read = (
        read_by("hashbench/results/sanity.py", "reports/board/row_reader.py")
        - WITHOUT_GRADIENTS
        - OF_FILES
    )
    for name in read | precisions:
        assert list(gaps(without(results, name))), f"nobody would notice that {name} is missing"


def read_by(*files: str) -> set[str]:
    """The metrics that a file names."""
    return {
        Metric[node.attr].value
        for file in files
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Metric"
    }


def test_flags_and_reports_read_the_metrics_that_they_always_did() -> None:
    assert len(read_by("hashbench/results/sanity.py")) == 15
    assert len(read_by("reports/board/row_reader.py")) == 12


ORDINARY = {
    # Words of tables, legends and arguments that are spelled as a metric is.
    ("hashbench/eps.py", "linf"),  # a norm
    ("hashbench/eps.py", "l2"),
    ("hashbench/results/flags.py", "zero-gradients"),  # a flag's code
    ("hashbench/results/wide.py", "chance"),  # a column
    ("reports/plots/certified.py", "chance"),  # a label
    ("reports/page/proofs.py", "chance"),
    ("hashbench/certifying/__init__.py", "certified_bits"),  # a function
    ("hashbench/certifying/operation_table.py", "floor"),  # torch's
    ("hashbench/runner/evaluation_steps.py", "floor"),
    ("hashbench/runner/codes.py", "saturated"),  # an array of a part's codes
    ("hashbench/retrieval/__init__.py", "ceiling"),
    ("hashbench/runner/scoring.py", "saturated"),  # an array of the attacked codes
    ("hashbench/runner/scoring.py", "linf"),
    ("hashbench/runner/scoring.py", "l2"),
    ("hashbench/runner/scoring.py", "forwards"),
    ("hashbench/runner/scoring.py", "backwards"),
    ("hashbench/runner/stored.py", "saturated"),
    ("hashbench/runner/stored.py", "linf"),
    ("hashbench/runner/stored.py", "l2"),
    ("hashbench/runner/stored.py", "forwards"),
    ("hashbench/runner/stored.py", "backwards"),
    ("hashbench/zoo/image_files.py", "linf"),  # columns of the table of images
    ("hashbench/zoo/image_files.py", "l2"),
    ("reports/json_lines.py", "chance"),  # fields of a line
    ("reports/json_lines.py", "floor"),
    ("reports/page/models.py", "chance"),
    ("reports/page/models.py", "floor"),
    ("reports/page/plots.py", "chance"),
    ("reports/plots/curves.py", "chance"),
    ("reports/plots/eps.py", "chance"),
    ("reports/plots/map.py", "chance"),
    ("reports/plots/map.py", "floor"),
    ("reports/plots/scatter.py", "chance"),
    ("reports/text/sheets.py", "chance"),
    ("reports/text/sheets.py", "floor"),
    ("reports/text/sheets.py", "saturated"),
    ("reports/text/sheets.py", "tied"),
}


def literals(path: Path) -> Iterator[str]:
    """Every text in a file that is no docstring; the fixed parts of formatted ones too."""
    tree = ast.parse(path.read_text())
    bare = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def spelled(names: set[str], home: str) -> set[tuple[str, str]]:
    """Where a name stands as a literal, besides the file that it is at home in."""
    paths = [path for room in PRODUCT for path in (ROOT / room).rglob("*.py")]
    assert len(paths) > 150
    places = (
        (path.relative_to(ROOT).as_posix(), word) for path in paths for word in literals(path)
    )
    return {(place, word) for place, word in places if word in names and place != home}


def test_no_metric_is_spelled_outside_of_its_enum() -> None:
    home = "hashbench/results/metrics.py"
    assert spelled({metric.value for metric in Metric}, home) == ORDINARY
    ties = {f"(ties={rule}" for rule in ("", *Ties)} | {f"(ties={rule})" for rule in Ties}
    assert spelled(ties | {"flag("}, home) == set()
    assert spelled({"t-"}, home) == {("reports/papers/section.py", "t-")}  # a heading, t-mAP


def test_no_file_of_the_store_is_spelled_twice() -> None:
    names = {CODES, LOG, PER_QUERY, PROBE, SCORES}
    assert spelled(names, "hashbench/results/artifacts.py") == set()
    names = {"card.json", "weights.safetensors"}
    assert spelled(names, "hashbench/hashing/checkpoint.py") == set()
