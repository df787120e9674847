from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from torch import nn

from sgmse.errors import RecipeError
from sgmse.networks import SlimUNet
from sgmse.networks.base import Network
from sgmse.training.reading import plain, read


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


CLASSES = {"Circle": Circle, "Square": Square, "SlimUNet": SlimUNet}


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
    result = read(hint, value, CLASSES, "key")
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
def test_what_does_not_fit_is_named(hint, value, message):
    with pytest.raises(RecipeError, match=message):
        read(hint, value, CLASSES, "key")


def test_plain_is_the_inverse():
    drawing = Drawing(
        Square(2.0, Circle(0.5)), Path("x/y"), Page(7), (Circle(),), (0.5, 1), Circle(3.0), "ink"
    )
    values = plain(drawing, CLASSES)
    assert values["shape"] == {
        "class": "Square",
        "side": 2.0,
        "inner": {"class": "Circle", "radius": 0.5},
    }
    assert values["page"] == {"width": 7}
    assert values["file"] == "x/y"
    assert read(Drawing, values, CLASSES) == drawing


def test_networks_are_read_by_their_constructor_and_have_no_memory():
    values = {"class": "SlimUNet", "channels": [4, 8], "blocks": [1, 1]}
    network = read(Network, values, CLASSES, "network")
    assert isinstance(network, nn.Module)
    assert all(p.is_meta for p in network.parameters())
    again = read(Network, plain(network, CLASSES), CLASSES, "network")
    assert again.config == network.config
    with pytest.raises(RecipeError, match=r"does not take 'chanels' .*'channels'"):
        read(Network, {"class": "SlimUNet", "chanels": [4]}, CLASSES, "network")
