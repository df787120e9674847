"""What README.md says is so: its Python runs, and its commands are understood."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmse import cli
from sgmse.audio import info, read

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
    # dx = -1/(1 - t) x + 1/(1 - t) y + sqrt(c) dw, at t = 1/2
    np.testing.assert_allclose(torch.cat([session["f"], session["h"]]), [-2.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(session["g"], [1.0], rtol=1e-6)
    assert session["solution"].x.shape == session["y"].shape
    assert session["solution"].nfe == 10


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    words = [word for word in shlex.split(command, comments=True)[1:] if word != "--help"]
    if len(words) > 1 or words == ["info"]:
        assert cli._parser().parse_args(words).run


def test_commands_are_found():
    assert {command.split()[1] for command in COMMANDS} == {"enhance", "info", "train"}
