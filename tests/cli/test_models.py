"""The commands that take a published checkpoint: `sgmse info`, `convert` and `enhance`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_files import official

from sgmse.audio import Info, read, write
from sgmse.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a recording."""
    monkeypatch.chdir(tmp_path)
    write("a.wav", 0.03 * np.random.default_rng(0).standard_normal((1, 1000)), Info(16000))
    return tmp_path


@pytest.fixture
def about(call):
    """What `sgmse info` says."""

    def about(*arguments: str) -> dict[str, str]:
        code, out, err = call("info", *arguments)
        assert (code, err) == (0, [])
        return dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())

    return about


@pytest.fixture
def published() -> Path:
    """A published checkpoint of a bridge, beside the recording."""
    bridge = {"backbone": "ncsnpp_v2", "sde": "sbve", "loss_type": "data_prediction", "N": 3}
    torch.save(official(**bridge), "file.ckpt")
    return Path("file.ckpt")


@pytest.mark.parametrize("name", ["nonsense", "./nowhere", "runs/mine", "hf://x", "a.wav", "."])
def test_a_model_that_is_none_is_one_line(name, call):
    for command in (["info", name], ["enhance", "a.wav", "--model", name]):
        code, out, err = call(*command)
        assert (code, out, len(err)) == (1, "", 1)
        assert err[0].startswith("sgmse: error: ")
        assert name in err[0]
    assert [path.name for path in Path().iterdir()] == ["a.wav"]


def test_info_of_a_folder(model, about):
    rows = about(str(model))
    assert rows["model"] == f"{model} ({model})"
    assert rows["network"].startswith("SlimUNet, 0.0")
    assert rows["process"] == "SBVE(k=2.6, c=0.4)"
    assert rows["sample rate"] == "16000 Hz"
    assert rows["licence"] == "CC0-1.0"


def test_info_says_what_the_qualities_of_a_model_are(about, call):
    rows = about()
    assert list(rows).index("quality fast") < list(rows).index("quality best")
    assert rows["quality fast"].startswith("0 steps, 1 shift")
    facts = json.loads(call("info", "--json")[1])
    assert facts["qualities"]["balanced"]["sampler"]["shifts"] == facts["shifts"]


def test_info_of_a_published_checkpoint(published, about):
    rows = about("file.ckpt")
    assert rows["model"] == "file.ckpt (file.ckpt)"
    assert rows["family"] == "sgmse"
    assert re.fullmatch(r"NCSNpp, 0\.0\d M parameters", rows["network"])
    assert rows["process"] == "SBVE(k=2.6, c=0.4)"
    assert rows["sample rate"] == "16000 Hz"
    assert rows["solver"].startswith("Exponential(")
    assert rows["training: step"] == "1234"
    assert rows["licence"] == "not stated"
    assert about("file.ckpt", "--compat", "sgmse")["solver"].startswith("SBODE(")


def test_enhance_with_a_published_checkpoint(published, call):
    results = []
    for options in ([], ["--compat", "sgmse"], ["--solver", "sde", "--steps", "2"]):
        command = ["enhance", "a.wav", "--overwrite", "--model", "file.ckpt", *options]
        assert main(command) == 0
        results.append(read("a_enhanced.wav")[0])
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    code, _, err = call("enhance", "a.wav", "--overwrite", "--compat", "sgmse")
    assert code == 1
    assert "default is no published checkpoint" in err[-1]


def test_convert(published, call, about):
    assert call("convert", "file.ckpt", "model/") == (0, "file.ckpt -> model\n", [])
    files = {path.name for path in Path("model").iterdir()}
    assert files == {"README.md", "config.json", "model.safetensors"}
    mine, theirs = about("model"), about("file.ckpt")
    assert {k: v for k, v in mine.items() if k != "model"} == {
        k: v for k, v in theirs.items() if k != "model"
    }
    command = ["convert", "file.ckpt", "model", "--compat", "sgmse"]
    code, _, err = call(*command)
    assert code == 1
    assert "model exists already; use --overwrite" in err[0]
    assert call(*command, "--overwrite")[0] == 0
    assert about("model")["solver"].startswith("SBODE(")


def test_info_of_the_default_model(about):
    assert about()["model"].startswith("default (")


@pytest.mark.parametrize("compat", [(), ("--compat", "sgmse")])
def test_info_for_programs_is_one_object(published, compat, about, call):
    rows = about(str(published), *compat)
    code, out, err = call("info", "--json", str(published), *compat)
    assert (code, err, out.count("\n")) == (0, [], 1)
    facts = json.loads(out)
    assert facts["process"]["class"] == "SBVE"
    assert facts["solver"]["class"] == rows["solver"].partition("(")[0]
    assert f"{facts['sample_rate']} Hz" == rows["sample rate"]
    assert facts["parts"]["network"]["class"] == "NCSNpp"
    million = facts["parts"]["network"]["parameters"] / 1e6
    assert f"{million:.2f} M" in rows["network"]
    assert {"family", "grid", "shifts", "samplers", "licence", "training", "path"} <= facts.keys()
