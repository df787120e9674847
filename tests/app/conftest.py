"""A model that answers in milliseconds, and recordings to ask it with."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny

from sgmse.checkpoints import save
from sgmse.cli.main import main

RATE = tiny.RATE


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny.checkpoint(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.wav and b.flac of 2 s, stereo.wav of 48 kHz, long.wav of 40 s, broken.wav, clean.wav."""
    folder = tmp_path_factory.mktemp("recordings")

    def write(name: str, seconds: float, rate: int = RATE, channels: int = 1) -> None:
        draw = np.random.default_rng(len(name)).standard_normal((round(seconds * rate), channels))
        soundfile.write(folder / name, (0.05 * draw).clip(-1, 1), rate)

    write("a.wav", 2)
    write("b.flac", 2)
    write("stereo.wav", 1, 48000, 2)
    write("long.wav", 40)
    write("clean.wav", 2)
    (folder / "broken.wav").write_bytes(b"RIFF nonsense")
    return folder


@pytest.fixture
def call(capsys: pytest.CaptureFixture):
    """Calls `sgmse` with arguments: (exit code, stdout, lines of stderr)."""

    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call
