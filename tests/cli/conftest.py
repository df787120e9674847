"""How a command is called, and a model that answers in milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from sgmse.checkpoints import save
from sgmse.cli.main import main

Call = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a terminal of which nothing is known."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture) -> Call:
    """Calls `sgmse` with arguments: (exit code, stdout, lines of stderr)."""

    def call(*arguments: str) -> tuple[int, str, list[str]]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny.checkpoint(), tmp_path_factory.mktemp("models") / "tiny")
