from pathlib import Path

import pytest

from sgmse.training.sections import Trainer, Validation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "say when to end"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"steps": 1, "batch": 0}, "batch must be at least 1"),
        ({"steps": 1, "clip": 0.0}, "clip must be positive"),
        ({"hours": -1.0}, "hours must be positive"),
        ({"hours": 1.0, "workers": -1}, "workers must not be negative"),
    ],
)
def test_a_run_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Trainer(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every and files must be at least 1"),
        ({"files": 0}, "every and files must be at least 1"),
        ({"examples": -1}, "examples at least 0"),
        ({"scores": ("stoi",)}, r"best is pesq_wb, which scores \[stoi\] lack"),
    ],
)
def test_a_validation_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Validation(Path("clean"), Path("noisy"), **settings)
