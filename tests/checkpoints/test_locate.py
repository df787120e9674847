"""Where a model is found."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import get_args

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from lightning_files import official
from tiny import checkpoint

from sgmse.checkpoints import Quality, QualityName, load_model, locate, save
from sgmse.compat import SBODE
from sgmse.errors import ArgumentError, CheckpointError
from sgmse.solvers import Exponential, refusal


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def test_the_default_model_is_in_the_package():
    folder = locate("default")
    assert {p.name for p in folder.iterdir()} >= {"config.json", "model.safetensors", "README.md"}
    Path("default").mkdir()  # of someone's own: it does not change what a name means
    assert locate("default") == folder
    assert locate("./default") == locate(Path("default")) == Path("default")


def test_the_default_model_fits_into_a_package():
    assert sum(p.stat().st_size for p in locate("default").iterdir()) < 30e6


def test_a_model_of_a_quality():
    tiny = checkpoint()
    slow = replace(tiny.sampler, shifts=2)
    offered = {
        "balanced": Quality(slow, measured={"PESQ-WB": 2.5}),
        "best": Quality(model="default"),
        "gentle": Quality(dry=0.25),
    }
    save(replace(tiny, qualities=offered), "tiny")
    plain, balanced = load_model("tiny"), load_model("tiny", quality="balanced")
    assert plain.qualities == balanced.qualities == offered
    assert (plain.sampler, balanced.sampler) == (tiny.sampler, slow)
    assert balanced.model.network.config == tiny.model.network.config
    gentle = load_model("tiny", quality="gentle")
    assert (gentle.sampler, gentle.dry, plain.dry) == (tiny.sampler, 0.25, 0.0)
    save(gentle, "kind")
    assert load_model("kind").dry == 0.25
    best = load_model("tiny", quality="best")
    assert best.model.network.config == load_model("default").model.network.config
    with pytest.raises(
        ArgumentError, match="tiny has no quality 'fast'; it has balanced, best, gentle"
    ):
        load_model("tiny", quality="fast")
    for elsewhere in ("tiny", "hf://someone/tiny", "file.ckpt"):
        save(replace(tiny, qualities={"best": Quality(model=elsewhere)}), "leading")
        with pytest.raises(CheckpointError, match=r"not in the package .*; name that model itself"):
            load_model("leading", quality="best")
    save(tiny, "without")
    with pytest.raises(
        ArgumentError, match="no quality 'best'; leave it out, or name the model default"
    ):
        load_model("without", quality="best")
    torch.save(official(), "file.ckpt")
    with pytest.raises(ArgumentError, match=r"file.ckpt has no quality 'best'"):
        load_model("file.ckpt", quality="best")
    with pytest.raises(ArgumentError, match="called fast, balanced, best, gentle, not 'good'"):
        replace(tiny, qualities={"good": Quality()})
    with pytest.raises(ArgumentError, match=r"dry must lie between 0 and 1, not 1\.5"):
        Quality(dry=1.5)


def test_the_qualities_of_the_default_cost_more_and_more():
    offered = (load_model("default", quality=name) for name in get_args(QualityName))
    fast, balanced, best, gentle = offered
    assert balanced.sampler == load_model("default").sampler
    assert 2 * fast.sampler.shifts * fast.sampler.grid.steps <= balanced.sampler.shifts
    assert best.sampler.shifts >= balanced.sampler.shifts
    assert gentle.sampler == balanced.sampler
    assert 0 < gentle.strength < balanced.strength == fast.strength == best.strength < 1
    for one in (fast, balanced, best):  # each is a sampler that its model is made for
        assert refusal(one.sampler, one.model.sde, one.ranges) is None


@pytest.mark.parametrize("name", ["model", "deep/model", "./model", "a/b.c/d"])
def test_a_folder_is_itself(name):
    Path(name).mkdir(parents=True)
    assert locate(name) == locate(Path(name)) == Path(name)


def test_a_file_is_left_to_the_reader():
    Path("model.ckpt").touch()
    assert locate("model.ckpt") == Path("model.ckpt")


@pytest.mark.parametrize(
    "name", ["", "nonsense", "runs/mine", "a/b/c", "/nowhere/at/all", "./owner/name", "hf:/a/b"]
)
def test_what_is_no_model_is_named(name, monkeypatch):
    if not name:
        assert locate(name) == Path()  # the current folder
        return
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(
        CheckpointError, match="there is no such folder or file; give one of default, "
    ) as e:
        locate(name)
    assert str(e.value).startswith(f"no model {name!r}: ")
    assert "hf://owner/name" in str(e.value)


@pytest.mark.parametrize("name", ["hf://", "hf://name", "hf://a/b/c", "hf://a b/c", "hf:///a/b"])
def test_what_names_no_hub_repository_stays_here(name, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(CheckpointError, match=f"no model '{name}': a hub repository is hf://owner"):
        locate(name)


def test_a_hub_repository(monkeypatch, tmp_path):
    calls = []

    def download(name, *, allow_patterns, **_):
        calls.append((name, sorted(allow_patterns)))
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("hf://owner/model-1.5_x") == tmp_path / "cache"
    # no code, no other formats
    names = ["README.md", "autoencoder.safetensors", "config.json", "model.safetensors"]
    names += ["upper_band.safetensors"]
    assert calls == [("owner/model-1.5_x", names)]


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("offline\nand more"),
        HFValidationError("bad name\nand more"),
        ConnectionError("offline\nand more"),
        TimeoutError("offline\nand more"),
    ],
)
def test_a_hub_that_gives_none_is_one_line(monkeypatch, error):
    def download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(CheckpointError, match="the hub gave no 'hf://owner/name': ") as e:
        locate("hf://owner/name")
    assert "\n" not in str(e.value)


def test_without_a_network(monkeypatch, tmp_path):
    """The real client, and no way out of this machine."""

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(CheckpointError, match="the hub gave no 'hf://owner/name': ") as e:
        locate("hf://owner/name")
    assert "\n" not in str(e.value)


# Models


def test_a_name_a_folder_or_a_file_is_a_model():
    save(checkpoint(), Path("folder"))
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction"}
    torch.save(official(**bridge), "file.ckpt")
    assert load_model("default").training
    assert load_model("folder").model.sde == checkpoint().model.sde
    assert load_model("file.ckpt").sampler.solver == Exponential(start=0.0)
    assert load_model(Path("file.ckpt"), compat="sgmse").sampler.solver == SBODE()


@pytest.mark.parametrize("name", ["default", "folder"])
def test_a_native_model_has_one_arithmetic(name):
    save(checkpoint(), Path("folder"))
    with pytest.raises(ValueError, match=f"{name} is no published checkpoint, which alone"):
        load_model(name, compat="sgmse")


def test_a_file_that_is_no_model_is_named():
    Path("speech.wav").write_bytes(b"RIFF")
    with pytest.raises(CheckpointError, match=r"speech.wav is no checkpoint that can be read"):
        load_model("speech.wav")
