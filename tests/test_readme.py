"""What README.md says is so: its Python runs, and its commands are understood."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmse.audio import info, read
from sgmse.cli import main as cli
from sgmse.metrics import si_sdr

REPOSITORY = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(
    r"^```(\w*)\n(.*?)^```$", (REPOSITORY / "README.md").read_text("utf-8"), re.M | re.S
)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line
    for language, text in BLOCKS
    if not language
    for line in text.splitlines()
    if line.startswith("sgmse ")
]


def test_the_python_runs(tmp_path, monkeypatch):
    """All blocks in one session, in the order of the text, beside a copy of the recording."""
    recording = Path("tests/data/noisy.wav")
    (tmp_path / recording).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / recording, tmp_path / recording)
    monkeypatch.chdir(tmp_path)
    session = {"__name__": "readme"}
    assert len(PYTHON) >= 3
    for text in PYTHON:
        exec(compile(text, "README.md", "exec"), session)
    audio = read(recording)[0][0]
    assert session["clean"].shape == audio.shape
    assert info("clean.wav").frames == len(audio)
    # 16 bits, and sums in another order
    np.testing.assert_allclose(read("clean.wav")[0][0], session["clean"].clip(-1, 1), atol=1e-4)
    # a = cos^2, b = sin^2, sigma = sin(2 phi) / 2 at phi = pi t / 2, t = 1/2: f = a'/a = -pi,
    # h = b' - f b = pi, g^2 = 2 sigma (sigma' - f sigma) = pi / 2.
    found = torch.cat([session["f"], session["h"], session["g"]])
    np.testing.assert_allclose(found, [-np.pi, np.pi, (np.pi / 2) ** 0.5], rtol=1e-6)
    assert session["solution"].nfe == 3
    # The solver that is shown makes the recording better, as the enhancer does.
    reference, about = read(REPOSITORY / "tests/data/clean.wav")
    shown = session["heard"].audio(session["solution"].x)[0].numpy()
    before, *after = (
        si_sdr(reference[0], estimate, about.sample_rate)
        for estimate in (audio, shown, session["clean"])
    )
    assert min(after) > before + 3


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    words = [word for word in shlex.split(command, comments=True)[1:] if word != "--help"]
    if len(words) > 1 or words == ["info"]:
        assert cli.parsed(words).run


def test_commands_are_found():
    assert {command.split()[1] for command in COMMANDS} == {
        *("average", "bench", "convert", "enhance", "export", "info", "mix", "score", "train"),
        *("models", "doctor", "app"),
    }
