"""Models that are handed on: exported from one store, run in another, refused when they lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hashbench.errors import UsageError
from hashbench.hashing.checkpoint import CARD, WEIGHTS, read_card
from hashbench.results.cell import Status
from hashbench.results.results import Results
from hashbench.runner.run import run
from hashbench.runner.suite import GivenModels, Suite, compose
from hashbench.runner.suite_tables import Compute
from hashbench.zoo.models import check_model, export_model

Build = Callable[..., Suite]
WRAPPER = '''
from dataclasses import dataclass

import torch

from hashbench.hashing import HashModel
from hashbench.plugins import WrappingDefense, defense


class Coarse(HashModel):
    def __init__(self, model, levels):
        torch.nn.Module.__init__(self)
        self.bits, self.inner, self.levels = model.bits, model, levels

    def logits(self, images):
        return self.inner.logits((images * self.levels).round() / self.levels)


@defense("coarse")
@dataclass(frozen=True)
class CoarseDefense(WrappingDefense):
    """Rounds the image."""

    levels: int = 4

    def wrap(self, model):
        return Coarse(model, self.levels)
'''


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    path = tmp_path / "coarse.py"
    path.write_text(WRAPPER)
    return path


def rows(results: Results, defense: str) -> str:
    frame = results.to_frame()
    return str(frame[frame["defense"] == defense].to_csv(index=False))


@pytest.mark.parametrize("defense", ["none", "cgat", "coarse:levels=3"])
def test_an_exported_model_gives_the_same_rows_in_an_empty_store(
    tiny_suite: Build, tmp_path: Path, wrapper: Path, defense: str
) -> None:
    attack = ["noise", "pgd-hamming:steps=3"]
    suite = tiny_suite(defense=["none", defense], attack=attack, plugin=[wrapper])
    made = run(suite, out=tmp_path / "made")
    card = export_model(tmp_path / "made", tmp_path / "model", {"defense": defense})
    given = replace(suite, models=GivenModels((tmp_path / "model",)))
    shutil.rmtree(tmp_path / "made")  # what the first store holds is not needed
    found = run(given, out=tmp_path / "found")
    assert rows(found, defense) == rows(made, defense)
    assert {result.cell.defense for result in found.cells} == {defense}
    assert card.wraps == (defense != "cgat")  # the undefended model is wrapped in nothing
    claim = check_model(tmp_path / "model", None)
    assert claim.holds
    assert claim.measured == claim.claimed


def exported(tiny_suite: Build, tmp_path: Path) -> Suite:
    suite = tiny_suite()
    run(suite, out=tmp_path / "made")
    export_model(tmp_path / "made", tmp_path / "model", {}, licence="CC0-1.0")
    return replace(suite, models=GivenModels((tmp_path / "model",)))


@pytest.mark.parametrize(
    "compute", [{"attack_batch": 3}, {"threads": 2}, {"precision": "mixed"}], ids=str
)
def test_a_model_is_computed_as_its_card_says(
    tiny_suite: Build, tmp_path: Path, compute: dict[str, Any]
) -> None:
    suite = tiny_suite(attack="pgd-hamming:steps=2", compute=compute)
    made = run(suite, out=tmp_path / "made")
    export_model(tmp_path / "made", tmp_path / "model", {})
    asked = {"model": str(tmp_path / "model"), "attack": "pgd-hamming:steps=2", "eps": "24/255"}
    plugin = [str(path) for path in suite.plugin]
    found = run(compose(None, {**asked, "plugin": plugin}), out=tmp_path / "found")
    assert rows(found, "none") == rows(made, "none")
    assert check_model(tmp_path / "model", None).holds
    other = compose(None, {**asked, "plugin": plugin, "compute": {"attack_batch": 4}})
    assert other.compute == replace(Compute(**compute), attack_batch=4)


def test_without_a_radius_a_model_meets_that_of_its_data(tiny_suite: Build, tmp_path: Path) -> None:
    suite = exported(tiny_suite, tmp_path)
    asked = {"model": str(tmp_path / "model"), "plugin": [str(path) for path in suite.plugin]}
    results = run(compose(None, {**asked, "attack": "noise"}), out=tmp_path / "found")
    assert {result.cell.eps for result in results.cells} == {"0", "8/255"}


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_the_card_says_what_another_lab_asks_for(tiny_suite: Build, tmp_path: Path) -> None:
    exported(tiny_suite, tmp_path)
    card = read_card(tmp_path / "model")
    assert (card.licence, card.defense, card.bits, card.seed) == ("CC0-1.0", "none", 8, 0)
    assert card.shape[1:] == (8, 8)
    assert card.protocol_card["query"] > 0
    assert card.training["base"]["epochs"] == 2
    assert {"hashbench", "torch", "numpy", "python"} <= set(card.versions)
    assert list(card.clean) == ["map"]


def test_a_model_that_misses_its_claim_gets_no_number(tiny_suite: Build, tmp_path: Path) -> None:
    suite = exported(tiny_suite, tmp_path)
    path = tmp_path / "model" / CARD
    claimed = read_card(tmp_path / "model").clean["map"]
    edit(path, clean={"map": claimed - 0.01})
    results = run(suite, out=tmp_path / "found")
    assert {result.status for result in results.cells} == {Status.FAILED}
    for result in results.cells:
        assert f"claims a clean mAP of {100 * claimed - 1:.2f} %" in result.reason
        assert f"gives {100 * claimed:.2f} %" in result.reason
    assert not check_model(tmp_path / "model", None).holds
    edit(path, clean={"map": claimed - 0.001})  # another processor's rounding
    assert not run(suite, out=tmp_path / "found").failed


def test_other_weights_than_the_cards_are_refused(tiny_suite: Build, tmp_path: Path) -> None:
    suite = exported(tiny_suite, tmp_path)
    weights = load_file(tmp_path / "model" / WEIGHTS)
    weights["hash_layer.bias"] += 1
    save_file(weights, tmp_path / "model" / WEIGHTS)
    with pytest.raises(UsageError, match="not the file that its card describes"):
        run(suite, out=tmp_path / "found")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"protocol": "0" * 64}, "another protocol"),
        ({"protocol_card": {}}, "names no protocol and no clean mAP"),
        ({"clean": {}}, "names no protocol and no clean mAP"),
        ({"backbone": "small-cnn:width=5,hidden=16"}, "does not fit the model"),
        ({"bits": 16}, "does not fit the model"),
        ({"loss": "no-such-loss"}, "no-such-loss"),
        ({"defense": "cgat", "wraps": True}, "wraps no model"),
        ({"schema": 99}, "update it"),
        ({"schema": "2"}, "no model card"),
        *(
            ({name: value}, rf"no model card \({name} is ")
            for name, value in (
                ("bits", "16"),
                ("bits", 0),
                ("seed", "one"),
                ("seed", 1.5),
                ("seed", None),
                ("clean", [1]),
                ("clean", {"map": float("nan")}),
                ("clean", {"map": 71.0}),
                ("dataset", 5),
                ("loss", None),
                ("defense", 3),
                ("training", [1]),
                ("training", {"base": 1}),
                ("protocol_card", [1]),
                ("weights", 5),
                ("wraps", "yes"),
                ("shape", [1, "8", 8]),
            )
        ),
    ],
)
def test_a_card_that_does_not_fit_is_an_error_that_says_so(
    tiny_suite: Build, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    suite = exported(tiny_suite, tmp_path)
    edit(tmp_path / "model" / CARD, **fields)
    with pytest.raises(UsageError, match=says):
        run(suite, out=tmp_path / "found")


def test_another_split_is_named_field_by_field(tiny_suite: Build, tmp_path: Path) -> None:
    suite = exported(tiny_suite, tmp_path)
    card = read_card(tmp_path / "model")
    edit(
        tmp_path / "model" / CARD,
        protocol="1" * 64,
        protocol_card={**card.protocol_card, "query": 1700, "split": "7" * 64},
    )
    with pytest.raises(UsageError, match=r"query 1700 in the card, \d+ here") as error:
        run(suite, out=tmp_path / "found")
    assert "split 777777777777... in the card" in str(error.value)


def test_one_model_has_to_be_meant(tiny_suite: Build, tmp_path: Path) -> None:
    run(tiny_suite(bits=[8, 16], seed=[0, 1]), out=tmp_path / "made")
    with pytest.raises(UsageError, match="4 models fit") as error:
        export_model(tmp_path / "made", tmp_path / "model", {"defense": "none"})
    assert "16 bits, seed 1" in str(error.value)
    with pytest.raises(UsageError, match="no model fits"):
        export_model(tmp_path / "made", tmp_path / "model", {"defense": "cgat"})
    wanted = {"bits": "16", "seed": "1", "backbone": "small-cnn"}
    assert export_model(tmp_path / "made", tmp_path / "model", wanted).bits == 16


def test_an_export_overwrites_nothing(tiny_suite: Build, tmp_path: Path) -> None:
    exported(tiny_suite, tmp_path)
    before = (tmp_path / "model" / CARD).read_bytes()
    with pytest.raises(UsageError, match="there already"):
        export_model(tmp_path / "made", tmp_path / "model", {})
    assert (tmp_path / "model" / CARD).read_bytes() == before


def test_mixed_precision_is_recorded_and_moves_the_outputs_a_little(
    tiny_suite: Build, tmp_path: Path
) -> None:
    from hashbench.results.store import Store
    from hashbench.runner.loading import load_model
    from hashbench.runner.plan import make_plan
    from hashbench.runner.steps import DefendedModel

    exact = tiny_suite(attack="pgd-hamming:steps=2")
    mixed = replace(exact, compute=Compute(precision="mixed"))
    results = [run(suite, out=tmp_path / "out") for suite in (exact, mixed)]
    assert not any(result.failed for result in results)
    trainings = [result.cells[0].cell.training for result in results]
    assert trainings[0] != trainings[1]
    [step] = [step for step in make_plan(exact).steps if isinstance(step, DefendedModel)]
    model = load_model(step, Store(tmp_path / "out"))
    images = torch.rand(16, *read_shape(model), generator=torch.Generator().manual_seed(0))
    plain = model.outputs(images).detach().numpy()
    model.mixed = True
    rounded = model.outputs(images).detach().numpy()
    assert rounded.dtype == np.float32
    assert 0 < np.abs(plain - rounded).max() < 0.05  # bfloat16 has 8 bits


def read_shape(model: torch.nn.Module) -> tuple[int, int, int]:
    return next(model.parameters()).shape[1], 8, 8
