"""The command `sgmse transfer`, as it is called."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from sgmse.audio import Info, info, read, write
from sgmse.checkpoints import Checkpoint, save
from sgmse.estimates import EDM
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import FlowMatching
from sgmse.solvers import LogSNR, Multistep, Sampler
from sgmse.transfer import load_transfer

RATE = 16000


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> tuple[str, str]:
    """Two random priors."""
    made = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = SlimUNet(channels=(4, 4), blocks=(1, 1), dual_paths=1, observations=0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model = ScoreModel(network, FlowMatching(), EDM(0.55))
        sampler = Sampler(Multistep(), LogSNR(4, 0.998, 0.002))
        folder = tmp_path_factory.mktemp("priors") / f"{seed}"
        made.append(str(save(Checkpoint(model, tiny.FRONT, sampler), folder)))
    return made[0], made[1]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    # Quiet: random priors make it several times louder, and nothing is to be clipped.
    sound = 0.02 * np.random.default_rng(0).standard_normal((2, 1001)).astype(np.float32)
    write(tmp_path / "a.wav", sound, Info(RATE, 2, subtype="FLOAT"))
    return tmp_path / "a.wav"


@pytest.mark.slow
def test_writes_what_the_library_makes(call, domains, recording):
    one, other = domains
    code, out, err = call("transfer", str(recording), "--from", one, "--to", other)
    target = recording.with_name("a_transferred.wav")
    assert (code, err) == (0, [])
    assert out.startswith(f"{recording} -> {target}  (")
    assert info(target) == info(recording)
    audio, made = read(recording)[0], read(target)[0]
    np.testing.assert_allclose(
        made, load_transfer(one, other, device="cpu")(audio, RATE), atol=1e-6
    )
    assert np.abs(made - audio).max() > 1e-3


@pytest.mark.slow
def test_options_reach_the_transfer(call, domains, recording, tmp_path):
    one, other = domains
    words = ("transfer", str(recording), "--from", one, "--to", other, "-o")
    options = ("--start", "0.4", "--steps", "3", "-v")
    code, _, err = call(*words, str(tmp_path / "b.flac"), *options)
    assert code == 0
    assert any("LogSNR(steps=3, start=0.4" in line for line in err)
    wanted = load_transfer(one, other, device="cpu", steps=3, start=0.4)(read(recording)[0], RATE)
    np.testing.assert_allclose(read(tmp_path / "b.flac")[0], wanted, atol=1e-4)
    code, out, err = call(*words, str(tmp_path / "made/"), "--json", "--format", "ogg")
    assert (code, err) == (0, [])
    assert json.loads(out)["status"] == "done"
    assert (tmp_path / "made/a.ogg").is_file()


def test_nothing_is_overwritten(call, domains, recording):
    target = recording.with_name("a_transferred.wav")
    target.write_bytes(b"mine")
    words = ("transfer", str(recording.parent), "--from", domains[0], "--to", domains[1])
    code, out, (line,) = call(*words)
    assert (code, out, target.read_bytes()) == (1, "", b"mine")
    assert "exists already; use --skip-existing or --overwrite" in line
    assert call(*words, "--skip-existing")[0] == 0
    assert target.read_bytes() == b"mine"
    assert call(*words, "--overwrite", "-q") == (0, "", [])  # and is no input itself
    assert info(target) == info(recording)
    assert len([*recording.parent.iterdir()]) == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--to", "ONE"], r"both domains are .*--from"),
        (["--to", "default"], "the target hears a recording, and is no prior"),
        (["--to", "nowhere"], "no model 'nowhere'"),
        (["--to", "OTHER", "--start", "0.002"], "a grid needs"),
        (["--to", "OTHER", "-o", "x.nothing"], ".nothing is no format"),
    ],
)
def test_errors_are_one_line(call, domains, recording, words, why):
    named = {"ONE": domains[0], "OTHER": domains[1]}
    words = [named.get(word, word) for word in words]
    code, out, err = call("transfer", str(recording), "--from", domains[0], *words)
    assert (code, out, len(err)) == (1, "", 1)
    assert err[0].startswith("sgmse: error: ")
    assert re.search(why, err[0])
    assert [*recording.parent.iterdir()] == [recording]


def test_a_file_that_cannot_be_read_spoils_no_other(call, domains, recording):
    bad = recording.with_name("b.wav")
    bad.write_bytes(b"RIFF")
    words = ("transfer", str(recording), str(bad), "--from", domains[0], "--to", domains[1])
    code, _, err = call(*words, "-o", str(recording.parent / "made/"))
    assert code == 1
    assert any(str(bad) in line for line in err)
    assert (recording.parent / "made/a.wav").is_file()
    shard = recording.with_name("many.tar")
    shard.write_bytes(b"")
    code, _, (line,) = call("transfer", str(shard), "--from", domains[0], "--to", domains[1])
    assert code == 1
    assert "holds many recordings" in line


def test_what_other_commands_refuse_or_say_is_so_here_too(call, domains, recording):
    """It has it from the same place: `sgmse.cli.recordings`."""
    there, to = str(recording), ("--from", domains[0], "--to", domains[1])
    before = recording.read_bytes()
    code, _, err = call("transfer", there, *to, "--failures", there)
    assert code == 1
    assert "is an input or a result" in err[-1]
    assert recording.read_bytes() == before
    inner = recording.parent / "inner"
    inner.mkdir()
    (inner / "b.wav").write_bytes(before)
    code, _, err = call("transfer", str(recording.parent), *to, "-o", str(inner.parent / "out"))
    assert code == 0
    assert "--recursive takes it" in err[0]
