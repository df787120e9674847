"""Objects to plain values and back, and what is said where they do not fit."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import nn

from sgmse.checkpoints import CLASSES
from sgmse.config import abridged, errors_as, from_plain, override, read_yaml, to_plain, to_yaml
from sgmse.errors import ConfigError
from sgmse.inference._latent import Turned
from sgmse.networks import DCUNet, NCSNpp, Network, SlimUNet
from sgmse.sdes import OUVE, SDE
from sgmse.solvers import AnnealedLangevin, Exponential, Langevin, PredictorCorrector
from sgmse.transforms import Log, Power, Spectrogram


def through_json(value, classes=CLASSES, kind=object):
    return from_plain(kind, json.loads(json.dumps(to_plain(value, classes))), classes)


def test_all_that_is_wrong_is_told_of_at_once():
    values = {"class": "OUVE", "tetha": 1.0, "sigma_min": "low", "sigma_max": None}
    with pytest.raises(ConfigError, match=r"'tetha'.*; and sigma_min must be .*; and") as caught:
        from_plain(SDE, values, CLASSES)
    assert [text.split()[0] for text in caught.value.parts] == ["OUVE", "sigma_min", "sigma_max"]
    with pytest.raises(ConfigError) as caught, errors_as(ConfigError, "file.yaml"):
        from_plain(tuple[int, ...], [1, "b", 2, "c"], CLASSES, "ns")
    assert [text[:17] for text in caught.value.parts] == ["file.yaml: ns[1] ", "file.yaml: ns[3] "]
    with pytest.raises(ConfigError) as caught:
        from_plain(SDE, {"class": "OUVE", "tetha": 1.0}, CLASSES)
    assert caught.value.parts == ()


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
        DCUNet(),
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
    assert to_plain(solver, CLASSES) == {
        "class": "PredictorCorrector",
        "predictor": None,
        "corrector": {"class": "AnnealedLangevin", "snr": 0.3, "steps": 2},
        "denoise": True,
    }
    assert to_plain([1, 2.5, "a", None, True, (OUVE(),)], CLASSES) == [
        *(1, 2.5, "a", None, True),
        [{"class": "OUVE", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5}],
    ]


def test_the_table_knows_every_class_of_the_library():
    assert all(CLASSES[name].__name__ == name for name in CLASSES)
    bases = (SDE, Network)
    for base in bases:
        ours = {c for c in base.__subclasses__() if c.__module__.startswith("sgmse.")}
        ours -= {Turned}  # which only `encode` makes
        ours = {
            c for c in ours if not c.__module__.startswith(("sgmse.export.", "sgmse.live."))
        }  # wrappers of others
        assert ours <= set(CLASSES.values())


def test_what_is_absent_has_its_default():
    assert from_plain(SDE, {"class": "OUVE"}, CLASSES) == OUVE()
    assert from_plain(
        object, {"class": "PredictorCorrector", "corrector": {"class": "Langevin"}}, CLASSES
    ) == PredictorCorrector(corrector=Langevin())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"class": "OUVEE"}, "unknown 'OUVEE' .did you mean 'OUVE'..; it may be .*, OUVE, "),
        ({"class": "os.system"}, "class: unknown"),
        ({"class": ["OUVE"]}, "class: unknown"),
        ({"class": None}, "class: unknown None"),
        ({"theta": 1.5}, "write {class: NAME, ...} with one of .*, not {'theta': 1.5}"),
        (
            {"class": "OUVE", "tetha": 1.0},
            "OUVE does not take 'tetha' .* 'theta'..; it takes theta,",
        ),
        ({"class": "OUVE", "theta": -1.0}, "OUVE: theta must be positive, not -1.0"),
        ({"class": "OUVE", "theta": "1.5"}, "^theta must be a number, not '1.5'"),
        ({"class": "Exponential", "eta": [1]}, "^eta must be a number"),
        ({"class": "Uniform", "steps": -1}, "steps must be at least 0"),
        ({"class": "SlimUNet", "channels": [4, 4], "blocks": [1]}, "must name the same levels"),
        ({"class": "SlimUNet", "channels": 4}, "^channels must be a list"),
        (
            {"class": "SlimUNet", "channels": [-4, -4], "blocks": [1, 1]},
            "hidden must be at least 1, not -2",
        ),
        (
            {"class": "SlimUNet", "channels": ["a", "b"], "blocks": [1, 1]},
            r"^channels\[0\] must be a whole",
        ),
        (
            {"class": "PredictorCorrector", "corrector": {"class": "Langevin", "snrr": 1}},
            r"corrector \(Langevin\) does not take 'snrr' .did you mean 'snr'",
        ),
    ],
)
def test_what_does_not_fit_is_named(value, says):
    with pytest.raises(ValueError, match=says):
        from_plain(object, value, CLASSES)


@dataclass(frozen=True)
class Mine(Exponential):
    scale: float = 2.0
    inner: Power = field(default_factory=Power)


def test_own_classes_need_an_extended_table():
    with pytest.raises(ValueError, match=r"pass classes=CLASSES \| {'Mine': Mine}"):
        to_plain(Mine(), CLASSES)
    with pytest.raises(ValueError, match="unknown 'Mine'"):
        from_plain(object, {"class": "Mine"}, CLASSES)
    mine = Mine(scale=3.0, inner=Power(0.3))
    assert through_json(mine, CLASSES | {"Mine": Mine}) == mine


def test_another_class_of_a_known_name_is_no_known_class():
    @dataclass(frozen=True)
    class OUVE:
        theta: float = 1.0

    with pytest.raises(ValueError, match="OUVE is not one of the classes"):
        to_plain(OUVE(), CLASSES)


def test_what_has_no_written_form_is_refused():
    for value in (object(), {"a": 1}, print):
        with pytest.raises(ValueError, match="is not one of the classes"):
            to_plain(value, CLASSES)
    with pytest.raises(ValueError, match="neither a network nor a dataclass"):
        to_plain(object(), CLASSES | {"object": object})


# By annotations


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...


@dataclass(frozen=True)
class Circle(Shape):
    radius: float = 1.0

    def __post_init__(self):
        if self.radius < 0:
            raise ValueError("the radius must not be negative")

    def area(self) -> float:
        return 3 * self.radius**2


@dataclass(frozen=True)
class Square(Shape):
    side: float
    inner: Circle | None = None

    def area(self) -> float:
        return self.side**2


@dataclass(frozen=True)
class Page:
    width: int = 3


@dataclass(frozen=True)
class Drawing:
    shape: Shape
    file: Path = Path("a")
    page: Page = field(default_factory=Page)
    more: tuple[Shape, ...] = ()
    size: tuple[float, int] = (1.0, 2)
    either: Circle | Square | None = None
    mode: Literal["ink", "lead"] | None = None


SHAPES = {"Circle": Circle, "Square": Square, "SlimUNet": SlimUNet}


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (bool, False, False),
        (str, "x", "x"),
        (Path, "a/b", Path("a/b")),
        (int | None, None, None),
        (int | None, 4, 4),
        (tuple[float, float], [1, 2], (1.0, 2.0)),
        (tuple[int, ...], [], ()),
        (Sequence[int], [1, 2, 3], (1, 2, 3)),
        (Literal["a", "b"], "b", "b"),
        (Page, {"width": 5}, Page(5)),
        (Shape, {"class": "Circle", "radius": 2}, Circle(2.0)),
        (Circle | Square, {"class": "Square", "side": 2}, Square(2.0)),
    ],
)
def test_values_become_what_the_annotation_says(hint, value, expected):
    result = from_plain(hint, value, SHAPES, "key")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, 3.0, "key must be a whole number, not 3.0"),
        (int, True, "key must be a whole number, not True"),
        (int, None, "key must be a whole number, not None"),
        (float, "3", "key must be a number, not '3'"),
        (float, float("nan"), "key must be a finite number"),
        (bool, 1, "key must be true or false"),
        (str, 1, "key must be a text"),
        (tuple[float, float], [1.0], "key must be a list of 2"),
        (tuple[int, ...], 3, "key must be a list, not 3"),
        (tuple[int, ...], [1, "x"], r"key\[1\] must be a whole number"),
        (tuple[int, ...], "12", "key must be a list"),
        (Literal["a", "b"], "c", "key must be 'a' or 'b', not 'c'"),
        (Page, 3, "key must be a section of keys"),
        (Page, {"height": 1}, r"key \(Page\) does not take 'height'; it takes width"),
        (Shape, {"radius": 1}, "key: write {class: NAME, ...} with one of Circle, Square"),
        (
            Shape,
            {"class": "Circl"},
            "unknown 'Circl' .did you mean 'Circle'..; it may be Circle, S",
        ),
        (Shape, {"class": "SlimUNet"}, "key.class: unknown 'SlimUNet'"),
        (Shape, {"class": "Square"}, r"key \(Square\) lacks 'side'"),
        (Shape, {"class": "Circle", "radius": -1}, "key: the radius must not be negative"),
        (Drawing, {"shape": {"class": "Square", "side": "x"}}, "key.shape.side must be a number"),
    ],
)
def test_what_an_annotation_does_not_allow_is_named(hint, value, message):
    with pytest.raises(ConfigError, match=message):
        from_plain(hint, value, SHAPES, "key")


def test_plain_is_the_inverse():
    drawing = Drawing(
        Square(2.0, Circle(0.5)), Path("x/y"), Page(7), (Circle(),), (0.5, 1), Circle(3.0), "ink"
    )
    values = to_plain(drawing, SHAPES, Drawing)
    assert values["shape"] == {
        "class": "Square",
        "side": 2.0,
        "inner": {"class": "Circle", "radius": 0.5},
    }
    assert values["page"] == {"width": 7}
    assert values["file"] == "x/y"
    assert from_plain(Drawing, values, SHAPES) == drawing


def test_networks_are_read_by_their_constructor_and_have_no_memory():
    values = {"class": "SlimUNet", "channels": [4, 8], "blocks": [1, 1]}
    network = from_plain(Network, values, SHAPES, "network", device="meta")
    assert isinstance(network, nn.Module)
    assert all(p.is_meta for p in network.parameters())
    again = from_plain(Network, to_plain(network, SHAPES), SHAPES, "network", device="meta")
    assert again.config == network.config
    with pytest.raises(ConfigError, match=r"does not take 'chanels' .*'channels'"):
        from_plain(Network, {"class": "SlimUNet", "chanels": [4]}, SHAPES, "network")


@dataclass(frozen=True)
class Album:
    drawings: Mapping[str, Drawing]
    notes: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int | str, ...] = ()


def test_sections_by_name_and_values_that_stay_plain():
    album = Album(
        {"a": Drawing(Circle()), "b": Drawing(Square(1.0))}, {"class": ["Circle"]}, (1, "wide")
    )
    values = to_plain(album, SHAPES, Album)
    assert values["notes"] == {"class": ["Circle"]}
    assert "class" not in values["drawings"]["a"]
    assert from_plain(Album, json.loads(json.dumps(values)), SHAPES) == album
    with pytest.raises(ConfigError, match=r"drawings\.a\.shape\.side must be a number"):
        from_plain(Album, {"drawings": {"a": {"shape": {"class": "Square", "side": "x"}}}}, SHAPES)
    with pytest.raises(ConfigError, match="drawings must be a section of keys, not 3"):
        from_plain(Album, {"drawings": 3}, SHAPES)


class Untyped(Network):
    def __init__(self, gain=1.0, inner=None, *, other: "Unknown" = 1) -> None:  # noqa: F821
        super().__init__()
        self.config = {"gain": gain, "inner": inner, "other": other}


def test_a_class_without_annotations_gets_what_the_file_says():
    values = {"class": "Untyped", "gain": [1, "x"], "inner": {"class": "Circle", "radius": 2}}
    network = from_plain(Network, values, SHAPES | {"Untyped": Untyped})
    assert network.config == {"gain": [1, "x"], "inner": Circle(2.0), "other": 1}


def test_an_object_is_abridged_to_what_is_no_default():
    assert abridged(Drawing(Circle(), size=(1.0, 2), either=Square(2.0, Circle(3.0)))) == (
        "Drawing(shape=Circle(), either=Square(side=2.0, inner=Circle(radius=3.0)))"
    )
    assert abridged(3) == "3"


# Text


def test_yaml_there_and_back(tmp_path):
    values = {"a": {"b": [1, 2.5, None], "c": "x"}, "d": True}
    path = tmp_path / "a.yaml"
    path.write_text(to_yaml(values))
    assert read_yaml(path) == values


def test_overrides_make_the_sections_that_lack():
    values = {"a": {"b": 1}}
    for assignment in ("a.b=1e-3", "a.c.d=[1, x]", "e=null"):
        override(values, assignment)
    assert values == {"a": {"b": 0.001, "c": {"d": [1, "x"]}}, "e": None}


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("a", "'a' sets nothing; write key.sub=value"),
        (".b=1", "sets nothing"),
        ("a.b=1", "'a.b=1': a is no section of keys"),
        ("c=[", r"'c=\[': it is not YAML"),
        ("c={d: 1, d: 2}", "'d' is set twice"),
    ],
)
def test_what_no_override_is(assignment, says):
    with pytest.raises(ConfigError, match=says):
        override({"a": 1}, assignment)


@pytest.mark.parametrize(
    ("text", "says"),
    [("[1]", "it has no keys"), ("", "it has no keys"), ("a: 1\na: 2", "'a' is set twice")],
)
def test_what_no_section_of_keys_is(tmp_path, text, says):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_yaml(path)
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ConfigError, match=r"cannot be read \(it is no text\)"):
        read_yaml(path)
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file"):
        read_yaml(tmp_path / "absent")
