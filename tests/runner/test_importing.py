"""State dicts of other repositories: into a folder, measured, held against what is claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from hashbench import plugins
from hashbench.errors import ModelError, UsageError
from hashbench.hashing.checkpoint import read_card
from hashbench.results.cell import CLEAN
from hashbench.runner.run import run
from hashbench.runner.suite import GivenModels, Suite
from hashbench.zoo.importing import Origin, import_model

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
ORIGIN = Origin("tiny", "dph", "resnet18", "their-defense", seed=3, licence="MIT")


@pytest.fixture
def state(tmp_path: Path, fresh_registry: object) -> Path:  # noqa: ARG001
    """A network in CgAT's layout for ResNet, untrained, of 12 bits."""
    plugins.use_file(TINY)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = resnet18()
        net.fc = torch.nn.Linear(512, 12)
    named = {name.replace("fc.", "hash_layer."): value for name, value in net.state_dict().items()}
    torch.save(named, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_an_imported_model_is_run_as_any_other(
    state: Path, tmp_path: Path, tiny_suite: Callable[..., Suite]
) -> None:
    card = import_model(state, tmp_path / "model", ORIGIN, None)
    assert card == read_card(tmp_path / "model")
    assert (card.bits, card.defense, card.seed, card.licence) == (12, "their-defense", 3, "MIT")
    suite = replace(
        tiny_suite(attack="pgd-hamming:steps=2"), models=GivenModels((tmp_path / "model",))
    )
    results = run(suite, out=tmp_path / "out")
    assert not results.failed
    [clean] = [result for result in results.cells if result.cell.attack == CLEAN]
    assert clean.metrics["map"] == card.clean["map"]
    assert (clean.cell.defense, clean.cell.backbone) == ("their-defense", "resnet18")


def test_a_reported_map_may_lie_anywhere_between_the_orders_of_ties(
    state: Path, tmp_path: Path
) -> None:
    measured = import_model(state, tmp_path / "model", ORIGIN, None).clean["map"]
    for number, claim in enumerate((measured, measured + 0.01)):  # 12 bits: many ties
        import_model(state, tmp_path / str(number), replace(ORIGIN, clean=claim), None)
    for claim in (0.001, 0.999):
        with pytest.raises(ModelError, match=rf"report a clean mAP of {100 * claim:.2f} %"):
            import_model(state, tmp_path / "no", replace(ORIGIN, clean=claim), None)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"backbone": "resnet34"}, "does not fit"),
        ({"backbone": "alexnet"}, "not known"),
        ({"backbone": "resnet19"}, "did you mean"),
        ({"dataset": "tyny"}, "did you mean 'tiny'"),
        ({"loss": "hashnt"}, "did you mean 'hashnet'"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    state: Path, tmp_path: Path, change: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        import_model(state, tmp_path / "model", replace(ORIGIN, **change), None)  # type: ignore[arg-type]
    assert not (tmp_path / "model").exists()


def test_a_percentage_is_not_taken_for_a_share() -> None:
    with pytest.raises(UsageError, match=r"share from 0 to 1 \(0.82 for 82 %\)"):
        replace(ORIGIN, clean=82.0)


def test_nothing_is_overwritten(state: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    with pytest.raises(UsageError, match="there already"):
        import_model(state, tmp_path / "model", ORIGIN, None)
