"""`sgmse models` and `sgmse doctor`: what they say is what there is."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sgmse.audio
from sgmse.checkpoints import PACKAGED, load_model, locate
from sgmse.cli import findings
from sgmse.cli.findings import EXTRAS, Finding, State, packages, usable
from sgmse.cli.models import purpose
from sgmse.errors import CheckpointError

REPOSITORY = Path(__file__).resolve().parents[2]
PRETRAINED = locate("default").parent


# sgmse models


@pytest.mark.slow
def test_every_model_is_listed_with_what_it_is(call):
    code, out, err = call("models", "--json")
    facts = json.loads(out)
    assert (code, err) == (0, [])
    assert [about["model"] for about in facts] == list(PACKAGED)
    for about in facts:
        folder = locate(about["model"])
        assert about["bytes"] == sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        # float32, beside a header of some kB
        size = 2 if about["model"] == "default" else 4  # 16 bits, but above the model's band
        assert about["bytes"] == pytest.approx(size * about["parameters"], rel=0.05)
        assert about["sample_rate"] == load_model(about["model"]).front.sample_rate
        assert f"license: {about['licence']}\n" in (folder / "README.md").read_text("utf-8")
        assert len(about["purpose"].split()) > 10
    (default,) = (about for about in facts if about["model"] == "default")
    assert default["qualities"]["best"]["model"] == "default"
    measured = load_model("default").qualities["balanced"].measured
    assert default["qualities"]["balanced"] == {"model": "default", **measured}


@pytest.mark.slow
def test_the_list_says_how_each_model_is_asked_for(call):
    out = call("models")[1]
    lines = out.splitlines()
    measured = load_model("default").qualities["balanced"].measured
    usual = next(line.split() for line in lines if line.startswith("sgmse enhance FILE   "))
    assert usual[3:] == ["default", *(f"{value:g}" for value in measured.values())]
    assert any(re.match("sgmse enhance FILE --quality best +default", line) for line in lines)
    for name in PACKAGED:
        assert sum(line.startswith(f"{name}: ") for line in lines) == 1
        does = "generate" if load_model(name).model.deaf else "enhance"
        rows = [line for line in lines if line.startswith(f"sgmse {does} FILE")]
        assert any(name in re.split(r"[ :]+", row) for row in rows)
    assert max(map(len, lines)) < 122


@pytest.mark.slow
def test_the_list_says_of_every_model_that_enhances_what_it_reaches(call):
    lines = call("models")[1].splitlines()
    assert not any(" - " in line for line in lines)
    offered = load_model("default").qualities["gentle"].effect
    for way, effect in {
        "--quality gentle": offered,
        **{f"--model {name}": load_model(name).effect for name in ("score", "live", "restore")},
    }.items():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"sgmse enhance FILE {way}:"))
        assert lines[at].endswith(effect.recordings)
        for name, after in effect.after.items():
            assert f"{name} {effect.before[name]:g} -> {after:g}" in lines[at + 1]
    facts = {about["model"]: about for about in json.loads(call("models", "--json")[1])}
    assert facts["live"]["effect"]["after"] == load_model("live").effect.after
    assert facts["default"]["qualities"]["gentle"]["effect"]["recordings"] == offered.recordings


def test_a_purpose_is_the_first_paragraph_of_a_card():
    card = "---\nlicense: x\n---\n\n# The model\n\nA `model`\nof [that](link.md).\n\n| a | b |\n"
    assert purpose(card) == "A model of that."
    assert purpose("# Nothing\n") == ""


def test_the_sums_are_those_of_the_weights():
    """If this fails after a change of weights: sha256sum */*.safetensors > SHA256SUMS."""
    lines = (PRETRAINED / "SHA256SUMS").read_text().splitlines()
    files = sorted(PRETRAINED.glob("*/*.safetensors"))
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    names = [file.relative_to(PRETRAINED).as_posix() for file in files]
    assert lines == [f"{own}  {name}" for own, name in zip(sums, names, strict=True)]
    assert {file.parent.name for file in files} == {*PACKAGED}


# sgmse doctor


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    return list(findings.findings())


def test_here_everything_that_enhancing_needs_works(found):
    names = [finding.name for finding in found]
    assert len(set(names)) == len(names)
    assert names[-1] == "enhancing"
    states = {finding.name: finding.state for finding in found}
    assert usable(found)
    for name in ("device cpu", "formats", "media", "torch", *(f"model {m}" for m in PACKAGED)):
        assert states[name] == State.WORKS, name
    assert states["packages"] == State.INSTALLED
    assert f"torch {torch.__version__}" in next(f.text for f in found if f.name == "packages")
    lacking = [f for f in found if f.state in (State.ABSENT, State.BROKEN)]
    assert all(f.remedy for f in lacking if f.name.startswith("extra"))


def test_the_command_prints_a_line_each_and_says_by_its_code_whether_enhancing_works(
    found, call, monkeypatch
):
    monkeypatch.setattr(findings, "findings", lambda: iter(found))
    code, out, err = call("doctor")
    assert (code, err) == (0, [])
    lines = [line for line in out.splitlines() if not line.startswith(" ")]
    assert [line[:16].rstrip() for line in lines] == [
        finding.name[:16].rstrip() for finding in found
    ]
    told = json.loads(call("doctor", "--json")[1])
    assert told["enhancing"] is True
    assert [row["name"] for row in told["findings"]] == [finding.name for finding in found]

    broken = Finding("enhancing", State.BROKEN, "no", "mend it")
    monkeypatch.setattr(findings, "findings", lambda: iter([*found[:-1], broken]))
    code, out, _ = call("doctor")
    assert code == 1
    assert out.splitlines()[-1].split() == ["->", "mend", "it"]
    assert json.loads(call("doctor", "--json")[1])["enhancing"] is False


def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change) -> dict[str, Finding]:
    """What is found of models whose default has had `change`."""
    for name in PACKAGED:
        (tmp_path / name).mkdir()
        for file in locate(name).iterdir():
            (tmp_path / name / file.name).symlink_to(file)
    (tmp_path / "SHA256SUMS").write_text((PRETRAINED / "SHA256SUMS").read_text())
    change(tmp_path / "default" / "model.safetensors")
    monkeypatch.setattr("sgmse.checkpoints.locate", lambda name: tmp_path / name)
    return {finding.name: finding for finding in findings.models()}


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.unlink()
    path.write_bytes(content)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:1000])


@pytest.mark.parametrize("change", [one_bit, cut, Path.unlink], ids=lambda f: f.__name__)
def test_a_damaged_model_is_found_and_the_others_are_whole(change, tmp_path, monkeypatch):
    found = damaged(tmp_path, monkeypatch, change)
    assert found["model default"].state == State.BROKEN
    assert "model.safetensors" in found["model default"].text
    assert found["model default"].remedy.startswith("pip install")
    assert found["model live"].state == found["model score"].state == State.WORKS
    works = Finding("enhancing", State.WORKS, "")
    assert not usable([*found.values(), works])


def test_what_fails_is_a_line_and_the_rest_is_told(monkeypatch):
    def fails():
        yield Finding("first", State.WORKS, "")
        raise CheckpointError("no weights\nat all")

    first, second = findings._guarded("models", fails)
    assert first.state == State.WORKS
    assert (second.name, second.state, second.text) == ("models", State.BROKEN, "no weights at all")
    monkeypatch.setattr("sgmse.enhancer.load", fails)  # a generator is no enhancer
    (last,) = findings._guarded("enhancing", findings.enhancing)
    assert last.state == State.BROKEN
    assert not usable([last])


@pytest.mark.parametrize("factor", [1.0, float("nan")])
def test_a_model_that_leaves_the_noise_does_not_work(factor, monkeypatch):
    class Idle:
        model = torch.nn.Linear(1, 1)

        def __call__(self, audio, rate):
            return audio * factor

    monkeypatch.setattr("sgmse.enhancer.load", Idle)
    (finding,) = findings.enhancing()
    assert finding.state == State.BROKEN


def test_packages_by_what_is_installed():
    torch_here = metadata.version("torch")
    wanted = [
        "torch>=2.6",
        "no-such-package>=1; extra == 'mos'",
        "numpy<1; extra == 'media'",
        "sgmse-toolkit[mos]; extra == 'dev'",
        "numpy>=1; extra == 'dev'",
        "tomli; python_version < '3.11'",
    ]
    found = {finding.name: finding for finding in packages(wanted)}
    assert found["packages"] == Finding(
        "packages", State.INSTALLED, f"what sgmse needs: torch {torch_here}"
    )
    assert found["extra mos"] == Finding(
        "extra mos", State.ABSENT, "DNSMOS: no no-such-package", "pip install 'sgmse-toolkit[mos]'"
    )
    assert found["extra media"].state == State.BROKEN
    assert f"numpy {metadata.version('numpy')} is not <1" in found["extra media"].text
    assert "no no-such-package" in found["extra dev"].text  # which it has from another
    assert found["extra live"].text.endswith("the version that was installed has no such extra")
    assert found["extra live"].remedy == f"pip install -e '{REPOSITORY}[live]'"


def test_every_extra_has_its_line():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert {*EXTRAS} == {*project["optional-dependencies"]}


def test_threads_beside_the_work_of_others(monkeypatch):
    def remedy(threads: int, cores: float, load: float) -> str:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(findings, "_cores", lambda: cores)
        monkeypatch.setattr(findings, "_load", lambda: load)
        (finding,) = findings.threads()
        return finding.remedy

    assert remedy(2, 2, 1.5).startswith("--threads 1")
    assert remedy(8, 2, 0.0).startswith("--threads 1")  # in a container with a quota
    assert remedy(2, 2, 0.1) == remedy(1, 2, 8.0) == remedy(4, 16, 3.0) == ""


def test_what_is_said_of_gpus(monkeypatch):
    """A card that fails, a driver without a torch for it, and a torch without a card."""

    def found() -> dict[str, Finding]:
        return {finding.name: finding for finding in findings.devices()}

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(findings.shutil, "which", lambda name: None)
    assert {*found()} == {"device cpu"}
    monkeypatch.setattr(findings.shutil, "which", lambda name: f"/usr/bin/{name}")
    cuda = found()["device cuda"]
    assert (cuda.state, cuda.remedy[:11]) == (State.ABSENT, "pip install")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no driver" in found()["device cuda"].text
    card = SimpleNamespace(name="a card", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    monkeypatch.setattr(torch, "ones", broken_on("cuda:0", torch.ones))
    first = found()["device cuda:0"]
    assert first.text == "a card, 80 GiB: no kernel image"
    assert first == Finding("device cuda:0", State.BROKEN, first.text, "use --device cpu")


def broken_on(name, ones):
    def made(*shape, device):
        if device == name:
            raise RuntimeError("no kernel image\nand more")
        return ones(*shape, device=device)

    return made


def test_a_format_that_writes_another_sound_is_broken(monkeypatch):
    silence = np.zeros((1, 4800), np.float32), sgmse.audio.Info(48000)
    monkeypatch.setattr(sgmse.audio, "read", lambda path: silence)
    finding = findings._round_trips("formats", ["wav"], "", "install")
    assert finding.state == State.BROKEN
    finding = findings._round_trips("formats", ["xyz"], "", "install")
    assert finding.text.startswith("xyz: ")


@pytest.mark.slow
def test_it_is_quick():
    # Machines vary: beside the import of torch, which it takes about once.
    script = f"""
import sys
from time import process_time
sys.path[:] = {sys.path!r}
before = process_time()
import torch
start = process_time()
from sgmse.cli.main import main
code = main(["doctor"])
print((process_time() - start) / (start - before))
sys.exit(code)
"""
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(run.stdout.splitlines()[-1]) < 3
