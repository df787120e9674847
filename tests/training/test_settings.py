"""Settings of a training that make no sense are refused, with what they may be."""

from pathlib import Path

import pytest

from sgmse.errors import ArgumentError
from sgmse.training.adversarial import Adversarial
from sgmse.training.adversarial.discriminators import Discriminators
from sgmse.training.averages import EMA, Averages
from sgmse.training.losses import Denoising, EDMWeighting, Reconstruction, Uncertainty
from sgmse.training.optimisation import Adam, AdamW, Muon, Schedule
from sgmse.training.times import Times
from sgmse.training.trainer import Trainer
from sgmse.training.unrolled import Unrolled
from sgmse.training.validation import Validation

FOLDERS = {"clean": Path("clean"), "noisy": Path("noisy")}


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Trainer, {}, "say when to end"),
        (Trainer, {"steps": 0}, "steps must be at least 1, not 0"),
        (Trainer, {"steps": 1, "batch": 0}, "batch must be at least 1"),
        (Trainer, {"steps": 1, "clip": 0.0}, "clip must be positive"),
        (Trainer, {"hours": -1.0}, "hours must be positive"),
        (Trainer, {"hours": 1.0, "workers": -1}, "workers must not be negative"),
        (Validation, FOLDERS | {"every": 0}, "every and files must be at least 1"),
        (Validation, FOLDERS | {"files": 0}, "every and files must be at least 1"),
        (Validation, FOLDERS | {"examples": -1}, "examples at least 0"),
        (
            Validation,
            FOLDERS | {"scores": ("stoi",)},
            "best is pesq_wb, which scores",
        ),
        (Times, {"low": 0.0}, "0 < low <= high <= 1 must hold"),
        (Times, {"low": 0.5, "high": 0.4}, "0 < low <= high <= 1 must hold"),
        (Times, {"at_one": 2}, r"at_one must lie in \[0, 1\]"),
        (Adam, {"lr": 0.0}, "lr and eps must be positive"),
        (AdamW, {"betas": (0.9, 1.0)}, r"betas in \[0, 1\)"),
        (Muon, {"momentum": 1.0}, "momentum must lie in"),
        (Muon, {"momentum": -0.1}, "momentum must lie in"),
        (Muon, {"weight_decay": -1.0}, "weight_decay not be negative"),
        (Schedule, {"decay": 1.5}, "decay and final lie in"),
        (Schedule, {"settle": 0}, "settle must be at least 1"),
        (EMA, {"decay": 1.0}, r"decay must lie in \[0, 1\)"),
        (Averages, {"lengths": ()}, "different ones, at least one"),
        (Averages, {"lengths": (0.1, 0.1)}, "different ones, at least one"),
        (Averages, {"lengths": (0.1, 0.3)}, "a length must lie above 0, .* not 0.3"),
        (Averages, {"every": 0}, "every must be at least 1, not 0"),
        (Unrolled, {"steps": ()}, "steps must be different numbers of at least 1"),
        (Unrolled, {"steps": (1, 0)}, "steps must be different numbers of at least 1"),
        (Unrolled, {"steps": (2, 2)}, "steps must be different numbers of at least 1"),
        (Unrolled, {"weights": (1.0, 2.0)}, r"one positive number for each of steps \[1\]"),
        (Unrolled, {"weights": (0.0,)}, "one positive number"),
        (Unrolled, {"gradient_steps": 0}, "gradient_steps must be at least 1"),
        (Unrolled, {"share": 0.0}, r"share must lie in \(0, 1\]"),
        (Denoising, {"of": "score"}, "of must be 'data' or 'mean', not 'score'"),
        (Reconstruction, {"complex": 0}, "weights must not be negative, and one must be positive"),
        (Reconstruction, {"complex": -1}, "weights must not be negative"),
        (Reconstruction, {"si_sdr": float("inf")}, "weights must not be negative"),
        (EDMWeighting, {"sigma_data": 0.0}, "EDMWeighting: sigma_data must be positive, not 0.0"),
        (Uncertainty, {"terms": 0}, "Uncertainty: terms must be at least 1, not 0"),
        (Uncertainty, {"of": Uncertainty()}, "`of` learns what it would learn"),
        (Adversarial, {"weight": -1.0}, "weight and features must not be negative"),
        (Adversarial, {"weight": 0.0, "features": 0.0}, "one must be positive, not 0.0 and 0.0"),
        (Adversarial, {"start": -1}, "start must not be negative, not -1"),
        (Adversarial, {"rise": -1}, "rise must not be negative"),
        (Discriminators, {"windows": ()}, "windows must be different multiples of 4"),
        (Discriminators, {"windows": (64, 64)}, "windows must be different"),
        (Discriminators, {"windows": (66,)}, "multiples of 4 of at least 8 samples"),
        (Discriminators, {"windows": (4,)}, "at least 8 samples"),
        (Discriminators, {"channels": ()}, "channels must be positive numbers"),
        (Discriminators, {"channels": (8, 0)}, r"positive numbers, not \[8, 0\]"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, settings, message):
    with pytest.raises(ArgumentError, match=message):
        kind(**settings)
