"""Shipped checkpoints: small, with a whole card, and as good as it says when measured again."""

import importlib.util
import json
from pathlib import Path

import pytest

from course_lib.backbones.vit import ViT
from course_lib.doctor import ROOT
from course_lib.train.checkpoints import CARD, load_weights

FOLDER = ROOT / "data" / "checkpoints"
SHIPPED = sorted(FOLDER.glob("*.safetensors"))
each = pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)


def recipe(path: Path):
    """The script beside a checkpoint that makes it."""
    spec = importlib.util.spec_from_file_location(path.stem, path.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_checkpoints() -> None:
    assert [path.stem for path in SHIPPED if ".run" not in path.stem] == ["vit_supervised"]


@each
def test_each_is_small_has_a_card_and_a_recipe(path: Path) -> None:
    assert path.stat().st_size <= 8_000_000
    card = json.loads(path.with_suffix(".json").read_text())
    assert set(CARD) <= card.keys()
    assert card["command"] == f"python data/checkpoints/{path.stem}.py"
    assert (FOLDER / f"{path.stem}.py").exists()
    for metric in card["metrics"].values():
        assert metric["value"] > metric["random_init"] > 0
        assert metric["value"] > metric["chance"]


def test_the_supervised_network_is_as_good_as_its_card_says() -> None:
    path = FOLDER / "vit_supervised.safetensors"
    made = recipe(path)
    encoder = ViT(made.CONFIG).eval()
    card = load_weights(encoder, path)
    assert card["steps"] == made.STEPS
    assert card["seed"] == made.SEED
    for name, found in made.measured(encoder).items():
        told = card["metrics"][name]
        assert found["value"] == pytest.approx(told["value"], abs=0.01), name
        assert found["chance"] == pytest.approx(told["chance"], abs=1e-3), name
        if "shuffled" in found:  # the control: nothing leaks
            assert abs(found["shuffled"] - found["chance"]) < 0.06, name
