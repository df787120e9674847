"""Objects to plain values and back."""

import json
from dataclasses import dataclass, field

import pytest

from sgmse.checkpoints import CLASSES, from_dict, to_dict
from sgmse.inference.latent import Turned
from sgmse.networks import NCSNpp, Network, SlimUNet
from sgmse.sdes import OUVE, SDE
from sgmse.solvers import AnnealedLangevin, Exponential, Langevin, PredictorCorrector
from sgmse.transforms import Log, Power, Spectrogram


def through_json(value, classes=CLASSES):
    return from_dict(json.loads(json.dumps(to_dict(value, classes))), classes)


def test_every_process(sde):
    assert through_json(sde) == sde


def test_every_parametrization(parametrization):
    assert through_json(parametrization) == parametrization


def test_every_solver(solver):
    assert through_json(solver) == solver


def test_every_grid(grid):
    assert through_json(grid) == grid


@pytest.mark.parametrize("compression", [Power(), Power(1.0, 0.3), Log(0.5)])
def test_every_transform(compression):
    assert through_json(Spectrogram(126, 32, compression)) == Spectrogram(126, 32, compression)


@pytest.mark.parametrize(
    "network",
    [
        SlimUNet(channels=(4, 4), blocks=(1, 2), dual_paths=1, embedding=8),
        NCSNpp(channels=4, multipliers=(1, 2), blocks=1, bins=8, divide_by_t="output"),
    ],
)
def test_every_network(network):
    again = through_json(network)
    assert type(again) is type(network)
    assert again.config == network.config
    shapes = [{n: v.shape for n, v in net.state_dict().items()} for net in (again, network)]
    assert shapes[0] == shapes[1]


def test_the_written_form_is_plain_to_read():
    solver = PredictorCorrector(corrector=AnnealedLangevin(0.3, 2), predictor=None)
    assert to_dict(solver) == {
        "class": "PredictorCorrector",
        "predictor": None,
        "corrector": {"class": "AnnealedLangevin", "snr": 0.3, "steps": 2},
        "denoise": True,
    }
    assert to_dict([1, 2.5, "a", None, True, (OUVE(),)]) == [
        *(1, 2.5, "a", None, True),
        [{"class": "OUVE", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5}],
    ]


def test_the_table_knows_every_class_of_the_library():
    assert all(CLASSES[name].__name__ == name for name in CLASSES)
    bases = (SDE, Network)
    for base in bases:
        ours = {c for c in base.__subclasses__() if c.__module__.startswith("sgmse.")}
        assert ours - {Turned} <= set(CLASSES.values())  # which only `encode` makes


def test_what_is_absent_has_its_default():
    assert from_dict({"class": "OUVE"}) == OUVE()
    assert from_dict({"class": "PredictorCorrector", "corrector": {"class": "Langevin"}}) == (
        PredictorCorrector(corrector=Langevin())
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"class": "OUVEE"}, "unknown class 'OUVEE'; known are .*, OUVE, "),
        ({"class": "os.system"}, "unknown class"),
        ({"class": ["OUVE"]}, "unknown class"),
        ({"class": None}, "unknown class None"),
        ({"theta": 1.5}, "unknown class None"),
        ({"class": "OUVE", "tetha": 1.0}, "OUVE does not take tetha; it takes theta, sigma_min"),
        ({"class": "OUVE", "theta": -1.0}, "OUVE: theta must be positive, not -1.0"),
        ({"class": "OUVE", "theta": "1.5"}, "OUVE: must be real number"),
        ({"class": "Exponential", "eta": [1]}, "Exponential: "),
        ({"class": "Uniform", "steps": 0}, "steps must be at least 1"),
        ({"class": "SlimUNet", "channels": [4, 4], "blocks": [1]}, "must name the same levels"),
        ({"class": "SlimUNet", "channels": 4}, "SlimUNet: "),
        ({"class": "SlimUNet", "channels": [-4, -4], "blocks": [1, 1]}, "SlimUNet: "),
        ({"class": "SlimUNet", "channels": ["a", "b"], "blocks": [1, 1]}, "SlimUNet: "),
        (
            {"class": "PredictorCorrector", "corrector": {"class": "Langevin", "snrr": 1}},
            "Langevin does not take snrr",
        ),
    ],
)
def test_what_does_not_fit_is_named(value, says):
    with pytest.raises(ValueError, match=says):
        from_dict(value)


@dataclass(frozen=True)
class Mine(Exponential):
    scale: float = 2.0
    inner: Power = field(default_factory=Power)


def test_own_classes_need_an_extended_table():
    with pytest.raises(ValueError, match=r"pass classes=CLASSES \| {'Mine': Mine}"):
        to_dict(Mine())
    with pytest.raises(ValueError, match="unknown class 'Mine'"):
        from_dict({"class": "Mine"})
    mine = Mine(scale=3.0, inner=Power(0.3))
    assert through_json(mine, CLASSES | {"Mine": Mine}) == mine


def test_another_class_of_a_known_name_is_no_known_class():
    @dataclass(frozen=True)
    class OUVE:
        theta: float = 1.0

    with pytest.raises(ValueError, match="OUVE is not one of the classes"):
        to_dict(OUVE())


def test_what_has_no_written_form_is_refused():
    for value in (object(), {"a": 1}, print):
        with pytest.raises(ValueError, match="is not one of the classes"):
            to_dict(value)
    with pytest.raises(ValueError, match="neither a network nor a dataclass"):
        to_dict(object(), CLASSES | {"object": object})
