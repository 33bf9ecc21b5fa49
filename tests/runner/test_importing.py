"""State dicts of other repositories: into a folder, measured, held against what is claimed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models import resnet18

from hashbench import plugins
from hashbench.errors import ModelError, UsageError
from hashbench.hashing.checkpoint import read_card
from hashbench.results.cell import CLEAN
from hashbench.runner.plan import make_plan
from hashbench.runner.run import run
from hashbench.runner.suite import GivenModels, Suite, compose
from hashbench.zoo.importing import import_model
from hashbench.zoo.origin import Normalisation, Origin

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
ORIGIN = Origin("tiny", "dph", "resnet18", "their-defense", seed=3, licence="MIT")
HALF = Normalisation((0.5,), (0.25,))


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
        (
            {"backbone": "alexnet"},
            r"is no checkpoint of alexnet: it has 122 .* expected the 14 keys",
        ),
        ({"backbone": ""}, "name it, as in --backbone resnet18"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
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


@pytest.mark.parametrize(
    "told", [{"backbone": ""}, {"bounded": True}, {"output": "1"}, {"backbone": "", "output": "1"}]
)
def test_what_a_file_is_comes_before_what_is_not_said_of_it(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    torch.save(nn.Linear(3, 4), tmp_path / "whole.pth")
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    for name, said in (
        ("whole.pth", r"whole pickled model.*model\.state_dict\(\)"),
        ("page.pth", "cannot be read"),
        ("none.pth", "no such file"),
    ):
        with pytest.raises(UsageError, match=said) as refusal:
            import_model(tmp_path / name, tmp_path / "m", replace(ORIGIN, **told), None)
        assert "state dict says" not in str(refusal.value)
        assert "holds a state dict" not in str(refusal.value)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ("0.5", None, "go together"),
        ("123.7,116.3,103.5", "58.4,57.1,57.4", "divide it by 255"),
        ("a", "1", "commas between"),
        ("0.5", "0", "above 0"),
        ("0.5,0.5", "0.5,0.5", "has 2 values, but the network sees 3 channels"),
    ],
)
def test_a_normalisation_that_is_none_is_refused(
    state: Path, tmp_path: Path, mean: str | None, std: str | None, says: str
) -> None:
    def imported() -> None:
        origin = replace(ORIGIN, normalisation=Normalisation.parse(mean, std))
        import_model(state, tmp_path / "model", origin, None)

    with pytest.raises(UsageError, match=says):
        imported()
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_as_scripts_save_it_is_run(
    state: Path, tmp_path: Path, tiny_suite: Callable[..., Suite]
) -> None:
    """`fc` under DataParallel, a loss of one's own, mean and deviation of one's own."""
    content = torch.load(state, weights_only=True)
    theirs = {f"module.{key.replace('hash_layer', 'fc')}": value for key, value in content.items()}
    torch.save({"state_dict": theirs, "epoch": 3}, tmp_path / "fc.pth")
    origin = Origin("tiny", "triplet, margin 0.3", "resnet18", normalisation=HALF)
    notes: list[str] = []
    card = import_model(tmp_path / "fc.pth", tmp_path / "model", origin, None, told=notes.append)
    assert notes == [
        "its hash layer is 'fc'",
        "the loss 'triplet, margin 0.3' is no plugin here: its name stands in rows as it is",
    ]
    suite = replace(
        tiny_suite(attack="transfer:steps=1"), models=GivenModels((tmp_path / "model",))
    )
    results = run(suite, out=tmp_path / "out")
    assert not results.failed
    assert {result.cell.loss for result in results.cells} == {"triplet, margin 0.3"}
    [clean] = [result for result in results.cells if result.cell.attack == CLEAN]
    assert clean.metrics["map"] == card.clean["map"]
    weights = load_file(tmp_path / "model" / "weights.safetensors")
    assert weights["mean"].flatten().tolist() == [0.5] * 3
    assert torch.equal(weights["hash_layer.weight"], content["hash_layer.weight"])


def test_a_head_of_two_layers_is_run(
    state: Path, tmp_path: Path, tiny_suite: Callable[..., Suite]
) -> None:
    content = torch.load(state, weights_only=True)
    first, last = nn.Linear(512, 40), nn.Linear(40, 16)
    head = nn.Sequential(first, nn.Tanh(), nn.Dropout(), last).state_dict()
    theirs = {f"encoder.{key}": value for key, value in content.items() if "hash" not in key}
    theirs |= {f"head.{key}": value for key, value in head.items()}
    torch.save(theirs, tmp_path / "two.pth")
    told = replace(ORIGIN, activation="tanh", loss="")
    with pytest.raises(UsageError, match=r"'head.0' \(512 to 40\).*say so with --activation"):
        import_model(tmp_path / "two.pth", tmp_path / "model", replace(told, activation=None), None)
    card = import_model(tmp_path / "two.pth", tmp_path / "model", told, None)
    assert (card.bits, card.hidden, card.loss) == (16, ("40 tanh",), "unstated")
    suite = replace(
        tiny_suite(attack="pgd-hamming:steps=2"), models=GivenModels((tmp_path / "model",))
    )
    results = run(suite, out=tmp_path / "out")
    assert not results.failed
    assert {result.cell.backbone for result in results.cells} == {"resnet18 + 40 tanh"}


def test_a_card_of_layers_that_are_none_is_refused(state: Path, tmp_path: Path) -> None:
    import_model(state, tmp_path / "model", ORIGIN, None)
    path = tmp_path / "model" / "card.json"
    fields = json.loads(path.read_text())
    for hidden in (["40 tahn"], ["0 relu"], ["9999999 relu"], ["x" * 50], ["4 relu"] * 9):
        path.write_text(json.dumps({**fields, "hidden": hidden}))
        suite = compose(None, {"model": [str(tmp_path / "model")]})
        with pytest.raises(UsageError, match=r"hidden layer|hidden is|head has"):
            make_plan(suite)


def test_a_percentage_is_not_taken_for_a_share() -> None:
    with pytest.raises(UsageError, match=r"share from 0 to 1 \(0.82 for 82 %\)"):
        replace(ORIGIN, clean=82.0)


def test_nothing_is_overwritten(state: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    with pytest.raises(UsageError, match="there already"):
        import_model(state, tmp_path / "model", ORIGIN, None)
