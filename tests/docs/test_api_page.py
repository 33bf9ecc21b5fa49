"""docs/api.md names every public name, with the words of its docstring."""

from __future__ import annotations

import pydoc
from importlib import import_module

import pytest

from hashbench import plugins
from support.api_page import PAGE, faces, page, words


def test_the_page_is_as_the_docstrings_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: python tests/support/api_page.py"


@pytest.mark.parametrize("face", faces())
def test_every_name_is_told_in_a_sentence(face: str) -> None:
    module = import_module(face)
    untold = [name for name in module.__all__ if not words(module, name).endswith((".", ":"))]
    assert not untold


@pytest.mark.parametrize(
    "contract", ["Attack", "Backbone", "Dataset", "Defense", "Format", "Hasher", "Loss"]
)
def test_help_shows_what_authors_write_and_no_machinery(contract: str) -> None:
    text = pydoc.plain(pydoc.render_doc(getattr(plugins, contract)))
    for machinery in (
        "__setattr__",
        "__eq__",
        "__repr__",
        "__dataclass_fields__",
        "__match_args__",
    ):
        assert machinery not in text
    if contract == "Dataset":
        assert "hashbench.data.RetrievalData" in text
