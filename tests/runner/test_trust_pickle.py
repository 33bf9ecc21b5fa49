"""A file that has to be unpickled: refused, or read on trust, and never without saying so."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing.checkpoint import read_card
from hashbench.reports.terminal import Terminal
from hashbench.runner.run import run
from hashbench.runner.suite import GivenModels, Suite
from hashbench.zoo.importing import import_model
from hashbench.zoo.origin import Origin

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
ORIGIN = Origin("tiny", "dph", "resnet18", "their-defense", seed=3)


class Runs:
    """What is unpickled makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def net(fresh_registry: object) -> nn.Module:  # noqa: ARG001
    plugins.use_file(TINY)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: nn.Module = resnet18()
        made.fc = nn.Linear(512, 12)
    return made


def test_without_the_option_it_is_refused_and_named(net: nn.Module, tmp_path: Path) -> None:
    torch.save(net, tmp_path / "whole.pth")
    with pytest.raises(UsageError, match=r"whole pickled model.*add --trust-pickle$"):
        import_model(tmp_path / "whole.pth", tmp_path / "m", ORIGIN, None)
    # What is wrong for another reason is not helped by it.
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    for trust in (False, True):
        with pytest.raises(UsageError, match="HTML") as refusal:
            import_model(tmp_path / "page.pth", tmp_path / "m", ORIGIN, None, trust_pickle=trust)
        assert "--trust-pickle" not in str(refusal.value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_with_it_the_model_is_that_of_its_state_dict(
    net: nn.Module, tmp_path: Path, tiny_suite: Callable[..., Suite], wrapped: bool
) -> None:
    ran = tmp_path / "it-ran"
    torch.save(
        {"model": net, "args": Runs(ran), "epoch": 3} if wrapped else net, tmp_path / "w.pth"
    )
    torch.save(net.state_dict(), tmp_path / "plain.pth")
    warnings: list[str] = []
    card = import_model(
        tmp_path / "w.pth",
        tmp_path / "m",
        ORIGIN,
        None,
        trust_pickle=True,
        warned=lambda text: warnings.append(f"{text} {ran.exists()}"),
    )
    assert len(warnings) == 1
    assert warnings[0].endswith("whatever code is in it runs now, with all your rights False")
    assert ran.exists() == wrapped
    plain = import_model(tmp_path / "plain.pth", tmp_path / "p", ORIGIN, None)
    assert card.weights == plain.weights
    assert card.clean == plain.clean
    assert card == read_card(tmp_path / "m")
    assert card.training["base"]["unpickled"] is True
    assert "unpickled" not in plain.training["base"]
    # It stands in what is stored of a run, and in what is reported.
    told = {}
    for name in ("m", "p"):
        models = GivenModels((tmp_path / name,))
        results = run(replace(tiny_suite(), models=models), out=tmp_path / f"out-{name}")
        (training,) = results.trainings.values()
        told[name] = training["base"].get("unpickled", False)
        text = " ".join(Terminal().render(results).split())
        assert ("which was unpickled on trust" in text) == (name == "m")
    assert told == {"m": True, "p": False}


def test_what_needs_no_trust_is_read_as_ever(net: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": net.state_dict(), "args": Namespace(lr=1)}, tmp_path / "s.pth")
    notes: list[str] = []
    card = import_model(
        tmp_path / "s.pth",
        tmp_path / "m",
        ORIGIN,
        None,
        told=notes.append,
        trust_pickle=True,
        warned=pytest.fail,
    )
    assert "it can be read without --trust-pickle, so nothing of it was run" in notes
    assert "unpickled" not in card.training["base"]


def test_errors_name_the_file_that_was_given(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pth"
    torch.save(net, path)
    with pytest.raises(UsageError) as refusal:
        import_model(
            path, tmp_path / "m", replace(ORIGIN, backbone="alexnet"), None, trust_pickle=True
        )
    assert str(path) in str(refusal.value)
    assert "unpickled.pth" not in str(refusal.value)
    # Classes that are not here.
    monkeypatch.setattr(nn, "Gone", type("Gone", (nn.Linear,), {"__module__": "torch.nn"}), False)
    torch.save(nn.Gone(3, 4), path)  # type: ignore[attr-defined]
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"be unpickled \(Attr.*folder in PYTHONPATH"):
        import_model(path, tmp_path / "m", ORIGIN, None, trust_pickle=True)
