"""Fixtures that every test may use, and the one list of each kind of object that the property tests run over."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora and parity vectors that lies beside the repository.

    Without it the tests that need it are skipped, unless SGMSE_REQUIRE_SHARED=1 (as in CI where it is present).
    """
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        if os.environ.get("SGMSE_REQUIRE_SHARED") == "1":
            pytest.fail("the folder ../shared is required but absent")
        pytest.skip("the folder ../shared (corpora and parity vectors) is absent")
    return folder


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """The folder of vectors made with the published code."""
    return shared / "parity"
