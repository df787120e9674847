"""Published files: which family they are of, what is said of others, and the native copy."""

import json
import os
from pathlib import Path

import pytest
import torch
from conftest import together
from lightning_files import official

from sgmse.checkpoints import convert, load
from sgmse.checkpoints.published import _reader as reader
from sgmse.checkpoints.published._official import Official
from sgmse.checkpoints.published._reader import FAMILIES, read
from sgmse.checkpoints.published._torch_files import read_torch
from sgmse.compat import SBODE
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, CheckpointError

FILES = ["README.md", "config.json", "model.safetensors"]


@pytest.fixture
def tiny(parity) -> Path:
    return parity / "official_tiny.ckpt"


def saved(value, path: Path) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({}, "it has no hyper_parameters, only "),
        ({"weights": 1, 5: 2}, "it has no hyper_parameters, only weights, 5"),
        ({"hyper_parameters": {}}, "its hyper_parameters have neither backbone nor sde"),
        (
            {"hyper_parameters": {"backbone": "unet", "sde": "xyz", "mode": [1]}},
            "its hyper_parameters have backbone 'unet', sde 'xyz'",
        ),
        ({"hyper_parameters": {"backbone": "u" * 99}}, "have backbone 'uuuuu"),
    ],
)
def test_a_file_of_no_family_is_named(tmp_path, held, says):
    path = saved(held, tmp_path / "file.ckpt")
    with pytest.raises(CheckpointError) as e:
        read(path)
    assert str(e.value).startswith(f"{path} is of no known family: ")
    assert says in str(e.value)
    assert len(str(e.value).removeprefix(str(path))) < 300


ODD = [
    *[{}, {"hyper_parameters": None}, {"hyper_parameters": 5, "state_dict": []}],
    {"hyper_parameters": {"sde": [1], "backbone": {}, "ode": 3, "mode": None}, "state_dict": {}},
    {"hyper_parameters": {"sde": torch.ones(2)}, "state_dict": {1: 2, "dnn.": 3, None: 4}},
    {"ema": 3, "model": None, "net": [], "config": 2, 7: 8},
]


@together(family=FAMILIES, held=ODD)
def test_no_family_stumbles_over_files_of_others(family, held):
    assert family.recognises(held) is False


def test_a_file_is_of_one_family(tiny):
    held = read_torch(tiny)
    assert [family for family in FAMILIES if family.recognises(held)] == [Official()]


def test_an_unknown_arithmetic_is_named(tiny):
    with pytest.raises(ValueError, match="compat must be None or 'sgmse', not 'bbed'"):
        read(tiny, "bbed")


def test_what_is_not_there(tmp_path):
    for path in (tmp_path / "nowhere.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read(path)


# Convert


@pytest.mark.slow
def test_a_round_trip(tiny, tmp_path):
    folder = convert(tiny, tmp_path / "deep" / "model")
    assert folder == tmp_path / "deep" / "model"
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    ours, theirs = load(folder), read(tiny)
    for name in ("front", "sampler", "training", "segment"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.segment == 20.0  # seconds, longer than those of native models
    assert ours.model.sde == theirs.model.sde
    assert ours.model.parametrization == theirs.model.parametrization
    weights, others = ours.model.state_dict(), theirs.model.state_dict()
    assert list(weights) == list(others)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    audio = torch.randn(700, generator=torch.Generator().manual_seed(0))
    few = {"steps": 15}
    clean = [Enhancer.of(c).with_sampler(**few)(audio, 16000) for c in (ours, theirs)]
    assert torch.equal(*clean)
    assert "# model" in (folder / "README.md").read_text()
    assert json.loads((folder / "config.json").read_text())["training"]["family"] == "sgmse"


def test_the_published_arithmetic_is_kept(tmp_path):
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"}
    path = saved(official(**bridge), tmp_path / "file.ckpt")
    assert load(convert(path, tmp_path / "model", compat="sgmse")).sampler.solver == SBODE()
    assert load(convert(path, tmp_path / "exact")).sampler.solver != SBODE()


@pytest.mark.slow
def test_a_folder_is_converted_to_half_its_size(tiny, tmp_path):
    whole, half = convert(tiny, tmp_path / "whole"), tmp_path / "half"
    (whole / "README.md").write_text("mine", "utf-8")
    assert convert(whole, half, half=True) == half
    assert (half / "README.md").read_text("utf-8") == "mine"
    sizes = [(place / "model.safetensors").stat().st_size for place in (whole, half)]
    assert sizes[1] < 0.7 * sizes[0]
    audio = torch.randn(700, generator=torch.Generator().manual_seed(0))
    out, other = (Enhancer.of(load(p)).with_sampler(steps=15)(audio, 16000) for p in (whole, half))
    assert 0 < (out - other).norm() < 0.01 * out.norm()
    with pytest.raises(ArgumentError, match="whole is no published checkpoint"):
        convert(whole, tmp_path / "other", compat="sgmse")
    convert(whole, whole, overwrite=True, half=True)  # in its place
    assert (whole / "model.safetensors").read_bytes() == (half / "model.safetensors").read_bytes()


def test_what_is_there_is_kept(tiny, tmp_path):
    folder = convert(tiny, tmp_path / "model")
    before = (folder / "config.json").stat().st_mtime_ns
    with pytest.raises(CheckpointError, match=r"model exists already; use --overwrite"):
        convert(tiny, folder)
    assert (folder / "config.json").stat().st_mtime_ns == before
    convert(tiny, folder, overwrite=True)
    assert (folder / "config.json").stat().st_mtime_ns > before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    (tmp_path / "empty").mkdir()
    convert(tiny, tmp_path / "empty", overwrite=True)
    load(tmp_path / "empty")


def test_what_is_no_model_is_never_replaced(tiny, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("home", "file"):
        with pytest.raises(CheckpointError, match=f"{name} is there and is no model"):
            convert(tiny, tmp_path / name, overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "x"
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("when", ["written", "moved"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_whole_or_not_at_all(tiny, tmp_path, monkeypatch, overwrite, when, error):
    folder = tmp_path / "model"
    if overwrite:
        convert(tiny, folder)
        (folder / "README.md").write_text("the one before")

    def fail(self, target):
        if self.name == "model" and Path(target) == folder:
            raise error
        os.rename(self, target)  # noqa: PTH104
        return Path(target)

    def full(checkpoint, place, **_):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{")
        raise error

    if when == "written":
        monkeypatch.setattr(reader, "save", full)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((CheckpointError, KeyboardInterrupt)):
        convert(tiny, folder, overwrite=overwrite)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["model"] * overwrite
    if overwrite:
        assert (folder / "README.md").read_text() == "the one before"


def test_a_place_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"model cannot be written \("):
        convert(tiny, tmp_path / "file" / "model")
    with pytest.raises(CheckpointError, match="is no checkpoint that can be read"):
        convert(tmp_path / "file", tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
