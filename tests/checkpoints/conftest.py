"""Files of models whose weights are random."""

import pytest


@pytest.fixture(autouse=True)
def any_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """What random weights make of noise is compared, be it plausible or not."""
    monkeypatch.setattr("sgmse.enhancer._segments.POSSIBLE", 2.0)
