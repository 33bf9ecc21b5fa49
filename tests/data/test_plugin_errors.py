"""Whatever a data set's code raises becomes one sentence that names it, wherever it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hashbench.cli import data as data_commands
from hashbench.data.images import RetrievalData
from hashbench.data.plugin_errors import plugin_errors
from hashbench.errors import HashbenchError, StoreError, UsageError
from hashbench.plugins import Dataset, dataset
from hashbench.progress import Progress, no_progress
from hashbench.runner.resolve import read_source


@dataset("broken-inside")
@dataclass(frozen=True)
class BrokenInside(Dataset):
    """Fails in one of its two methods."""

    late: bool = False

    def prepare(self, root: Path | None, progress: Progress) -> None:  # noqa: ARG002
        if not self.late:
            raise KeyError("column")

    def load(self, root: Path | None) -> RetrievalData:  # noqa: ARG002
        raise OSError(5, "Input/output error", "labels.txt")


SENTENCES = {
    False: "dataset 'broken-inside' cannot be loaded: KeyError: 'column' "
    "(tests/data/test_plugin_errors.py:29)",
    True: "dataset 'broken-inside' cannot be loaded: OSError: labels.txt: Input/output error "
    "(tests/data/test_plugin_errors.py:32)",
}


@pytest.mark.parametrize("late", [False, True])
def test_a_run_and_a_check_say_the_same(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = BrokenInside(late=late)
    with pytest.raises(UsageError) as raised:
        read_source(broken, None, no_progress)
    assert str(raised.value) == SENTENCES[late]
    assert isinstance(raised.value.__cause__, OSError if late else KeyError)
    monkeypatch.setattr("hashbench.plugins.get", lambda kind, name: broken)  # noqa: ARG005
    found = CliRunner().invoke(data_commands.app, ["check", "broken-inside"])
    assert isinstance(found.exception, UsageError)
    assert str(found.exception) == SENTENCES[late]


@pytest.mark.parametrize("error", [UsageError("mine"), StoreError("the disk"), KeyboardInterrupt()])
def test_our_own_errors_and_interrupts_pass_as_they_are(error: BaseException) -> None:
    with (
        pytest.raises((HashbenchError, KeyboardInterrupt)) as raised,
        plugin_errors(BrokenInside()),
    ):
        raise error
    assert raised.value is error
