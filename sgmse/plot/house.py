"""The house style of everything that is drawn: colours, markers, sizes, in light and in dark.

The colours have their names in house.css, which pages use as it is; house.mplstyle says the rest,
with the light ones. A dark picture is the same with the dark colour of each name.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sgmse._checks import choice
from sgmse._extras import require as require_package
from sgmse._files import whole
from sgmse.audio import check_target, make_folder
from sgmse.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: On white or on black.
Theme = Literal["light", "dark"]

FOLDER = Path(__file__).resolve().parent
STYLE = FOLDER / "house.mplstyle"
COLOURS = 10  # in house.css, for things that are told apart
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖\ufe0e"}  # as text
DPI = 150  # of pictures of pixels
FORMATS = ("png", "svg", "pdf")

# Matplotlib's settings are one for all threads.
_drawing = threading.RLock()


@cache
def sheet() -> str:
    """The style sheet with the colours, house.css."""
    return (FOLDER / "house.css").read_text(encoding="utf-8")


@cache
def colours(theme: Theme = "light") -> dict[str, str]:
    """The colours of house.css by name: ink, faint, rule, paper, c0 to c9."""
    light, dark, *_ = sheet().split("@media")
    return dict(re.findall(r"--(\w+): (#\w{6});", light if theme == "light" else dark))


def look(kind: int, theme: Theme = "light") -> dict[str, Any]:
    """Colour and marker of one of several things, by its number, as Matplotlib takes them."""
    colour = colours(theme)[f"c{kind % COLOURS}"]
    return {"color": colour, "marker": list(MARKERS)[kind % len(MARKERS)]}


@contextmanager
def style(theme: Theme = "light") -> Iterator[None]:
    """What is drawn with Matplotlib in this block is of the house.

    Raises:
        ArgumentError: an unknown theme.
        MissingPackageError: matplotlib is not installed.
    """
    choice("theme", theme, get_args(Theme))
    require()
    from cycler import cycler
    from matplotlib import rc_context, rc_params_from_file

    settings = dict(rc_params_from_file(STYLE, use_default_template=False))
    wanted = colours(theme)
    named = {value: name for name, value in colours().items()}
    for key, value in settings.items():
        if isinstance(value, str) and value in named:
            settings[key] = wanted[named[value]]
    settings["axes.prop_cycle"] = cycler(color=[wanted[f"c{kind}"] for kind in range(COLOURS)])
    with _drawing, rc_context(settings):
        yield


def panels(
    rows: int, columns: int, width: float, height: float, **settings: Any
) -> "tuple[Figure, list[Axes]]":
    """A figure of so many inches, to be made within `style`, and its panels, row by row."""
    from sgmse.plot._picture import Picture

    figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **settings)
    return figure, list(axes.flat)


def save(figure: "Figure", file: str | Path, *, overwrite: bool = False) -> Path:
    """Write a picture; it appears whole or not at all. Returns its path.

    Args:
        figure: what a function of this room gave, or any other figure of Matplotlib.
        file: .png, .svg or .pdf; its folder is made where there is none.
        overwrite: replace a file that exists.

    Raises:
        ArgumentError: a name of another suffix.
        AudioError: the file exists already, or cannot be written.
    """
    path = Path(file)
    form = path.suffix[1:].lower()
    if form not in FORMATS:
        raise ArgumentError(f"{path}: a picture is .{', .'.join(FORMATS)}, not '.{form}'")
    check_target(path, None, overwrite)
    make_folder(path.parent)
    with style(), whole(path) as part:
        metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        own = figure.get_facecolor()  # that of its theme
        figure.savefig(part, format=form, facecolor=own, dpi=DPI, metadata=metadata[form])
    return path


def require(what: str = "a picture", extra: str = "plot") -> None:
    """Raise `MissingPackageError`, which names the remedy, unless pictures can be drawn."""
    require_package("matplotlib", what, extra)
