"""A finished run becomes weights and a card; anything else leaves the folder as it was."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib.train.checkpoints import load_weights
from course_lib.train.history import History
from course_lib.train.ship import ship

METRICS = {"probe": {"value": 0.8, "chance": 0.25, "shuffled": 0.26}}
RANDOM = {"probe": {"value": 0.4, "chance": 0.25, "shuffled": 0.24}}


def shipped(folder: Path, total: int = 3, random: dict = RANDOM) -> nn.Linear:
    for leftover in ("net.run.safetensors", "net.run.previous.safetensors", "network.run.txt"):
        (folder / leftover).touch()
    model = nn.Linear(3, 2)
    run = History(total, {"loss": [3.0, 2.0, 1.0]}, seconds=12.6)
    ship(
        model, folder / "net.py", run, seed=7, batch_size=5, data="three scenes",
        metrics=METRICS, random=random,
    )  # fmt: skip
    return model


def test_card_and_weights_say_what_the_run_was(tmp_path: Path) -> None:
    model, other = shipped(tmp_path), nn.Linear(3, 2)
    card = load_weights(other, tmp_path / "net.safetensors")
    assert torch.equal(other.weight, model.weight)
    told = {name: card[name] for name in ("command", "seed", "steps", "batch_size", "seconds")}
    assert told == {
        "command": "python data/checkpoints/net.py",
        "seed": 7,
        "steps": 3,
        "batch_size": 5,
        "seconds": 13,
    }
    assert card["metrics"] == {
        "probe": {"value": 0.8, "chance": 0.25, "shuffled": 0.26, "random_init": 0.4}
    }
    # The run's own files are gone, another's stay.
    assert {path.name for path in tmp_path.iterdir()} == {
        "net.safetensors", "net.json", "network.run.txt",
    }  # fmt: skip
    assert json.loads((tmp_path / "net.json").read_text())["data"] == "three scenes"


def test_several_runs_are_one_card(tmp_path: Path) -> None:
    runs = [
        History(3, {"loss": [3.0, 2.0, 1.0]}, seconds=12.6),
        History(2, {"loss": [1.5, 0.5]}, seconds=8.3),
    ]
    rest = {"seed": 7, "batch_size": 5, "data": "", "metrics": METRICS, "random": RANDOM}
    ship(nn.Linear(3, 2), tmp_path / "net.py", runs, **rest)
    card = json.loads((tmp_path / "net.json").read_text())
    assert (card["steps"], card["seconds"]) == (5, 21)
    runs[1].total = 4
    with pytest.raises(ValueError, match="the run made 2 of 4 steps"):
        ship(nn.Linear(3, 2), tmp_path / "other.py", runs, **rest)
    assert not (tmp_path / "other.json").exists()


@pytest.mark.parametrize(
    ("total", "random", "sentence"),
    [(4, RANDOM, "3 of 4 steps"), (3, {"knn": RANDOM["probe"]}, "the same must be measured")],
)
def test_nothing_is_touched_otherwise(
    tmp_path: Path, total: int, random: dict, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        shipped(tmp_path, total, random)
    assert {path.name for path in tmp_path.iterdir()} == {
        "net.run.safetensors", "net.run.previous.safetensors", "network.run.txt",
    }  # fmt: skip
