from pathlib import Path

import pytest
from recordings import RATE, STEREO

from sgmse.audio import Info, write


@pytest.fixture
def stereo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with noisy.flac, 16 bit, of two channels."""
    monkeypatch.chdir(tmp_path)
    write("noisy.flac", STEREO, Info(RATE, 2, format="FLAC"))
    return tmp_path
