"""A model of somebody's own, from its file to a leaderboard: two commands, and the report."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

HERE = Path(__file__).parent
PLUGIN = ("--plugin", HERE.parent / "plugins" / "tiny_data.py")
Command = Callable[..., subprocess.CompletedProcess[str]]


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_fc_weight_under_module(hashbench: Command, tmp_path: Path) -> None:
    net = resnet18()
    net.fc = nn.Linear(512, 12)
    torch.save(nn.DataParallel(net).state_dict(), tmp_path / "fc.pth")
    wrong = said(
        hashbench("model", "import", "fc.pth", "--dataset", "tiny", "--to", "m", *PLUGIN, expect=2)
    )
    assert "name it, as in --backbone resnet18" in wrong
    told = ("--backbone", "resnet18", "--dataset", "tiny", "--loss", "mylosss")
    found = said(hashbench("model", "import", "fc.pth", *told, "--to", "m", *PLUGIN))
    assert "fc.pth: its hash layer is 'fc'." in found
    assert "'mylosss' is no plugin here" in found
    hashbench("run", "--model", "m", "--attack", "pgd-hamming:steps=2", "--out", "r", *PLUGIN)
    board = said(hashbench("report", "r"))
    assert "tiny, mylosss, resnet18, 12 bits" in board
    for option in ("mylosss", "unstated"):
        code = 0 if option == "mylosss" else 2
        hashbench("report", "r", "--loss", option, expect=code)


@pytest.mark.slow
def test_an_onnx_file_is_attacked_by_codes_alone(hashbench: Command, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16)).eval()
    torch.onnx.export(net, (torch.rand(1, 1, 8, 8),), tmp_path / "net.onnx", verbose=False)
    found = said(
        hashbench("model", "import", "net.onnx", "--dataset", "tiny", "--to", "m", *PLUGIN)
    )
    assert "net.onnx: it gives no gradient, so it is attacked by its codes alone." in found
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert (card["bits"], card["backbone"], card["loss"]) == (16, "onnx", "unstated")
    hashbench("run", "--model", "m", "--out", "r", *PLUGIN)
    board = said(hashbench("report", "r"))
    assert "attacked-by-codes-alone" in board
    for attack in ("noise", "random-search", "ranked-search", "transfer", "evade-by-distance"):
        assert attack in board
    wrong = hashbench("run", "--model", "m", "--attack", "auto", "--out", "q", *PLUGIN, expect=2)
    assert "auto follows gradients, and model m gives none" in said(wrong)
    assert not (tmp_path / "q").exists()
