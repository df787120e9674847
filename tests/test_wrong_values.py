"""What is given in place of what is asked for is named in a sentence, never in Python's own."""

import inspect
from dataclasses import MISSING, dataclass, fields, is_dataclass

import numpy as np
import pytest
import torch
from conftest import together
from tiny import RATE, checkpoint, enhancer, network

import sgmse
from sgmse._checks import kinds, number, whole
from sgmse.enhancer import Enhancer
from sgmse.errors import SgmseError
from sgmse.estimates import Data
from sgmse.model import Regeneration, ScoreModel
from sgmse.sdes import SDE, VP, Scales
from sgmse.solvers import Solver
from sgmse.transforms import Spectrogram

#: None of them is what any of the parameters below takes; True is no number.
WRONG = {
    "a text": "a",
    "a list": [1],
    "an object": object(),
    "an array": np.zeros((2, 3)),
    "a tensor": torch.zeros(3),
    "a class": Spectrogram,
}
ROOMS = (sgmse.sdes, sgmse.solvers, sgmse.estimates, sgmse.transforms, sgmse.front, sgmse.compat)
GIVEN = {
    "process": VP(),
    "factor": 1.0,
    "transform": Spectrogram(62, 16),
    "sample_rate": 16000,
    "points": (1.0, 0.5, 0.0),
    "times": (0.3, 0.6),
    "values": (0.1, 0.2),
    "steps": 2,
    "end": 0.5,
}


def settings() -> list[tuple[type, str]]:
    """Each field of each public dataclass of the rooms of objects."""
    found = []
    for room in ROOMS:
        for name in getattr(room, "__all__", dir(room)):
            kind = getattr(room, name)
            if isinstance(kind, type) and is_dataclass(kind) and not inspect.isabstract(kind):
                found += [(kind, f.name) for f in fields(kind) if f.init]
    return found


@together(setting=settings())
def test_settings_of_a_wrong_kind(setting):
    kind, name = setting
    fine = {
        f.name: GIVEN[f.name]
        for f in fields(kind)
        if (f.default is MISSING and f.default_factory is MISSING) or kind.__name__ == "Fitted"
        if f.name in GIVEN
    }
    kind(**fine)
    for what, wrong in WRONG.items():
        if (kind, name, what) == (sgmse.solvers.SamplerRange, "steps", "a list"):
            continue
        with pytest.raises(SgmseError) as caught:
            kind(**fine | {name: wrong})
        told = str(caught.value)
        assert name in told or "the times (1.0,)" in told  # those of a fitted grid
        assert "\n" not in told
        assert len(told) < 300


def test_classes_in_place_of_objects():
    """`Exponential` for `Exponential()` is told as that."""
    with pytest.raises(SgmseError, match=r"not the class Exponential; call it, Exponential\("):
        sgmse.solvers.MeanShifted(sgmse.solvers.Exponential)
    with pytest.raises(SgmseError, match=r"not the class Uniform; call it"):
        sgmse.solvers.Sampler(grid=sgmse.solvers.Uniform)


@pytest.mark.parametrize("value", [True, "3", None, 3.0, float("nan"), [3], np.float32(3)])
def test_whole_numbers(value):
    with pytest.raises(SgmseError, match="n must be a whole number of at least 1, not"):
        whole("n", value, least=1)
    assert [whole("n", v) for v in (3, np.int16(3), np.uint8(3))] == [3, 3, 3]
    with pytest.raises(ValueError, match="n must lie between 1 and 5, not 7"):
        whole("n", 7, 1, 5)


@pytest.mark.parametrize("value", [True, "0.5", None, float("nan"), 2, -1e-9, float("inf"), 1j])
def test_numbers(value):
    with pytest.raises(SgmseError, match="n must "):
        number("n", value, 0, 1)
    assert [number("n", v, 0, 1) for v in (0.5, 1, np.float16(0.5))] == [0.5, 1, 0.5]


def test_ones_own_objects_are_checked_where_annotations_can_be_read():
    @dataclass(frozen=True)
    class Mine(SDE):
        rise: float = 1.0
        of: "Absent" = None  # noqa: F821

        def scales(self, t):
            return Scales(1 - t, t, self.rise * t)

    Mine(rise=2.0)

    @dataclass(frozen=True)
    class Holder:
        solver: Solver | None = None
        names: tuple[str, ...] = ()

        def __post_init__(self):
            kinds(self)

    Holder()
    with pytest.raises(TypeError, match="Holder: solver must be a Solver or None, not 3"):
        Holder(solver=3)


NET, MODEL, TINY = network(), checkpoint().model, enhancer()
AUDIO = np.random.default_rng(0).uniform(-0.1, 0.1, 800)
X = torch.zeros(1, 1, 32, 8, dtype=torch.complex64)
SAMPLER = {"solver": sgmse.solvers.Exponential(), "grid": sgmse.solvers.Uniform(2, start=0.9)}
SIGNALS = {"reference": AUDIO, "estimate": AUDIO, "sample_rate": RATE}
#: Public functions, what they can be called with, and which of their parameters are tried.
CALLS = {
    "load": (sgmse.load, {}, "name_or_path device solver steps shifts compat force classes"),
    "enhance": (
        sgmse.enhance,
        {"audio": AUDIO, "sample_rate": RATE},
        "audio sample_rate seed dry steps solver shifts force progress",
    ),
    "Enhancer": (
        Enhancer,
        {"model": MODEL, "front": TINY.front, "sampler": TINY.sampler},
        "model front sampler segment overlap samplers force",
    ),
    "Enhancer.of": (Enhancer.of, {}, "checkpoint"),
    "with_sampler": (TINY.with_sampler, {}, "solver steps shifts grid force"),
    "enhance_file": (
        TINY.enhance_file,
        {"source": "absent.wav"},
        "source target seed dry steps solver shifts force format overwrite progress",
    ),
    "solve": (
        sgmse.solvers.solve,
        {"model": MODEL, "y": X, **SAMPLER},
        "model y solver grid x randn callback",
    ),
    "ScoreModel": (
        ScoreModel,
        {"network": NET, "sde": VP(), "parametrization": Data()},
        "network sde parametrization latest",
    ),
    "Regeneration": (
        Regeneration,
        {"predictor": NET, "refiner": MODEL},
        "predictor refiner conditioning moved",
    ),
    "encode": (sgmse.inference.encode, {"model": MODEL, "x0": X, "y": X, **SAMPLER}, "model x0 y"),
    "decode": (
        sgmse.inference.decode,
        {"model": MODEL, "latent": X, "y": X, **SAMPLER},
        "model latent solver grid",
    ),
    "ensemble": (
        sgmse.inference.ensemble,
        {"model": MODEL, "y": X, "count": 2, **SAMPLER},
        "model count batch seed x callback",
    ),
    "fit": (
        sgmse.inference.fit,
        {"model": MODEL, "y": X, "solver": SAMPLER["solver"], "steps": 2},
        "model steps start end finish runs reference",
    ),
    "log_likelihood": (
        sgmse.inference.log_likelihood,
        {"model": MODEL, "x0": X, "y": X},
        "model x0 steps start end scale",
    ),
    "si_sdr": (sgmse.metrics.si_sdr, SIGNALS, "reference estimate sample_rate"),
    "stoi": (sgmse.metrics.stoi, SIGNALS, "reference estimate sample_rate"),
    "score": (
        sgmse.scoring.score,
        {"clean": "absent", "enhanced": "absent"},
        "clean noisy measures index align tolerance workers journal progress",
    ),
    "read": (sgmse.audio.read, {}, "source"),
    "info": (sgmse.audio.info, {}, "source"),
    "write": (
        sgmse.audio.write,
        {"path": "a.wav", "audio": AUDIO[None], "like": sgmse.audio.Info(RATE)},
        "path audio like format",
    ),
    "resample": (
        sgmse.audio.resample,
        {"audio": torch.zeros(8), "source_rate": 8000, "target_rate": 16000},
        "source_rate target_rate length",
    ),
    "checkpoints.load": (sgmse.checkpoints.load, {"folder": "absent"}, "folder classes"),
    "checkpoints.save": (
        sgmse.checkpoints.save,
        {"checkpoint": checkpoint(), "folder": "a"},
        "checkpoint folder card classes",
    ),
    "from_pretrained": (sgmse.checkpoints.from_pretrained, {"name_or_path": "a"}, "name_or_path"),
}
#: Which parameters may be that: a text is a path, say.
FINE = {
    "a text": "name_or_path source target folder path clean noisy index journal card",
    "a list": "samplers measures",
    "an object": "",
    "an array": "audio reference estimate",
    "a tensor": "audio y x x0 latent reference estimate",
    "a class": "progress callback randn",
}


@together(
    argument=[(call, name) for call, (_, _, names) in CALLS.items() for name in names.split()]
)
def test_arguments_of_a_wrong_kind(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, name = argument
    function, given, _ = CALLS[call]
    for what, wrong in WRONG.items():
        if name in FINE[what].split():
            continue
        with pytest.raises(SgmseError) as caught:
            function(**given | {name: wrong})
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_commonly_confused_is_told_apart():
    with pytest.raises(TypeError, match=r"'noisy.wav'; name a file with enhance_file\(source\)"):
        TINY("noisy.wav", RATE)
    with pytest.raises(TypeError, match=r"call the enhancer itself: enhancer\(audio, sample_rate"):
        TINY.enhance_file(AUDIO)
    with pytest.raises(TypeError, match="source must be a path or a binary file, not 3"):
        TINY.enhance_file(3)
    with pytest.raises(TypeError, match="device must be 'cpu', 'cuda:0' or such, not 5"):
        sgmse.load(device=5)
    for wrong in (None, 3):
        with pytest.raises(TypeError, match=f"must be a text or a path, not {wrong}"):
            sgmse.load(wrong)
    with pytest.raises(TypeError, match=r"must be a Solver, not the class Heun; call it, Heun\("):
        sgmse.solvers.solve(MODEL, X, sgmse.solvers.Heun, SAMPLER["grid"])


@pytest.mark.parametrize("weights", [torch.float16, torch.bfloat16, "meta"])
def test_weights_without_a_spectrogram_are_told(weights):
    other = enhancer()
    other.model.to(weights)
    with pytest.raises(TypeError, match=r"the model has weights .*float32"):
        other(AUDIO, RATE)
