"""What is given in place of what is asked for is named in a sentence, never in Python's own."""

import inspect
from dataclasses import MISSING, dataclass, fields, is_dataclass

import numpy as np
import pytest
import torch

import sgmse
from sgmse._checks import kinds, number, whole
from sgmse.errors import SgmseError
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
    "steps": 2,
    "end": 0.5,
}


def settings() -> list:
    """Each field of each public dataclass of the rooms of objects."""
    found = []
    for room in ROOMS:
        for name in getattr(room, "__all__", dir(room)):
            kind = getattr(room, name)
            if isinstance(kind, type) and is_dataclass(kind) and not inspect.isabstract(kind):
                found += [pytest.param(kind, f.name, id=f"{name}-{f.name}") for f in fields(kind)]
    return found


@pytest.mark.parametrize(("kind", "name"), settings())
def test_settings_of_a_wrong_kind(kind, name):
    fine = {
        f.name: GIVEN[f.name]
        for f in fields(kind)
        if (f.default is MISSING and f.default_factory is MISSING) or kind.__name__ == "Fitted"
        if f.name in GIVEN
    }
    kind(**fine)
    for wrong in WRONG.values():
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
