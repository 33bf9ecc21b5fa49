"""The examples in docstrings give what they show; every public function of retrieval has one."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import re
from importlib import import_module
from types import ModuleType

import pytest

import hashbench
from hashbench import retrieval
from support.package import REPOSITORY

PROMPT = re.compile(r"^\s*>>> ", re.MULTILINE)


def with_examples() -> list[str]:
    """The modules of hashbench whose sources hold an example."""
    root = REPOSITORY / "hashbench"
    paths = [path for path in root.rglob("*.py") if PROMPT.search(path.read_text())]
    return sorted(
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    )


def examples(module: ModuleType) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    return [test for test in found if test.examples]


def failures(test: doctest.DocTest) -> tuple[int, str]:
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    result = runner.run(test, out=told.append)
    return result.failed, "".join(told)


@pytest.mark.parametrize("name", with_examples())
def test_examples_give_what_they_show(name: str) -> None:
    tests = examples(import_module(name))
    assert tests, "an example that doctest does not see"
    for test in tests:
        failed, told = failures(test)
        assert not failed, told


def test_there_are_examples_where_they_are_promised() -> None:
    assert {"hashbench.eps", "hashbench.plugins.lookup", "hashbench.retrieval.functions"} <= set(
        with_examples()
    )
    known = {module.name for module in pkgutil.walk_packages(hashbench.__path__, "hashbench.")}
    assert set(with_examples()) <= known


@pytest.mark.parametrize(
    "name", [name for name in retrieval.__all__ if inspect.isfunction(getattr(retrieval, name))]
)
def test_every_function_of_retrieval_has_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(retrieval, name)) or ""
    section = text.partition("\nExamples:\n")[2]
    assert PROMPT.search(section)
    assert f"{name}(" in section


def test_a_wrong_example_is_found() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", "wrong.py", 0)
    failed, told = failures(wrong)
    assert failed == 1
    assert "Expected:" in told
