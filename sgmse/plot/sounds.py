"""Pictures of recordings: spectrogram, waveform, and both before and after an enhancement.

    before_after("noisy.wav", "noisy_enhanced.wav")
    spectrogram(audio, sample_rate=16000, theme="dark")

A recording is a file, read in blocks, or an array or tensor with its rate in Hz. Spectrograms that
are to be compared share their scale: 0 dB is the loudest point of the first.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sgmse._checks import rate as checked_rate, shown
from sgmse.audio import Block, InMemory, Source, blocks, cut, info
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.plot.house import Theme, colours, panels, style
from sgmse.plot.spectra import MAP, RANGE, decibels, envelope, powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

ROWS, COLUMNS = 256, 900  # of a spectrogram


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen of a recording; computed when it is first asked for, block by block.

    Args:
        stream: a function that gives its blocks (channels, samples) anew.
        samples: of each channel.
        sample_rate: in Hz.
    """

    stream: Callable[[], Iterable[Block]]
    samples: int
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.sample_rate

    @cached_property
    def power(self) -> NDArray[np.float64]:
        """Of its spectrogram, (bands, times), see `powers`."""
        return powers(self.stream(), self.samples, self.sample_rate, ROWS, COLUMNS)

    @cached_property
    def envelope(self) -> NDArray[np.float64]:
        """Lowest and highest samples over time, (2, times)."""
        return envelope(self.stream(), self.samples)


def seen(audio: Any, sample_rate: int | None = None) -> Seen:
    """A file (a name, or an open binary file), or an array or tensor with its rate in Hz.

    Raises:
        ArgumentTypeError: an array without a rate, or a batch of recordings.
        ArgumentError: a rate that is not that of the file.
        AudioError: a file that cannot be read.
    """
    if isinstance(audio, str | PathLike) or callable(getattr(audio, "read", None)):
        source: Source = Path(audio) if isinstance(audio, PathLike) else audio
        about = info(source)
        own = about.sample_rate
        if sample_rate is not None and checked_rate("sample_rate", sample_rate) != own:
            what = f"{shown(audio)} has {own} Hz, not {sample_rate}"
            raise ArgumentError(f"{what}; leave the rate of a file out")
        return Seen(lambda: blocks(source), about.frames, about.sample_rate)
    recordings = InMemory.of(audio)
    if len(recordings.rows) != 1:
        what = f"a picture is of one recording, not of {len(recordings.rows)}"
        raise ArgumentTypeError(f"{what}; draw audio[i]")
    if sample_rate is None:
        raise ArgumentTypeError("an array needs its rate: sample_rate=16000")
    rows = recordings.rows[0]
    return Seen(lambda: cut(rows), rows.shape[1], checked_rate("sample_rate", sample_rate))


def spectrogram(
    audio: Any,
    sample_rate: int | None = None,
    *,
    title: str = "",
    theme: Theme = "light",
    axes: "Axes | None" = None,
) -> "Figure":
    """The spectrogram of a recording, mean over its channels, 80 dB from its loudest point down.

    Args:
        audio: a file, or an array or tensor as an `Enhancer` takes it.
        sample_rate: in Hz, of an array.
        title: above it.
        theme: "light" or "dark".
        axes: a panel of a figure of your own, drawn within `style(theme)` or not.

    Returns:
        The figure: seconds to the right, kHz upwards, dB as colours.

    Raises what `seen` does, and `MissingPackageError` without matplotlib.
    """
    one = seen(audio, sample_rate)
    with style(theme):
        panel = axes if axes is not None else panels(1, 1, 8, 3)[1][0]
        image = draw_spectrogram(panel, one, float(one.power.max()))
        panel.set(title=title, xlabel="time [s]")
        scale_beside(image, [panel])
    return _figure(panel)


def waveform(
    audio: Any,
    sample_rate: int | None = None,
    *,
    title: str = "",
    theme: Theme = "light",
    axes: "Axes | None" = None,
) -> "Figure":
    """The samples of a recording over time, those of all channels; as `spectrogram`."""
    one = seen(audio, sample_rate)
    with style(theme):
        panel = axes if axes is not None else panels(1, 1, 8, 2)[1][0]
        draw_waveform(panel, one, colours(theme)["c0"])
        panel.set(title=title, xlabel="time [s]")
    return _figure(panel)


def before_after(
    before: Any,
    after: Any,
    sample_rate: int | None = None,
    *,
    names: tuple[str, str] = ("before", "after"),
    theme: Theme = "light",
) -> "Figure":
    """Two recordings over each other: both spectrograms on one scale, and both waveforms.

    Args:
        before, after: each a file, or an array or tensor; their rates and lengths may differ.
        sample_rate: in Hz, of arrays.
        names: what they are called.
        theme: "light" or "dark".

    Returns:
        The figure: 0 dB is the loudest point of the first, frequencies reach to half of the
        larger rate.

    Raises what `seen` does, and `MissingPackageError` without matplotlib.
    """
    both = [seen(before, sample_rate), seen(after, sample_rate)]
    peak = float(both[0].power.max()) or float(both[1].power.max())
    top = max(one.sample_rate for one in both) / 2000
    with style(theme):
        figure, (upper, lower, waves) = panels(
            3, 1, 9, 7.2, sharex=True, height_ratios=(1, 1, 0.62)
        )
        for panel, one, name in zip((upper, lower), both, names, strict=True):
            image = draw_spectrogram(panel, one, peak)
            panel.set(title=name, ylim=(0, top))
        scale_beside(image, [upper, lower])
        tones = colours(theme)
        for one, name, colour in zip(both, names, (tones["faint"], tones["c0"]), strict=True):
            draw_waveform(waves, one, colour, name)
        waves.set(xlabel="time [s]", xlim=(0, max(one.seconds for one in both)))
        waves.legend(loc="upper right", ncols=2)
    return figure


def draw_spectrogram(axes: "Axes", one: Seen, peak: float) -> "AxesImage":
    """A spectrogram on a panel, `peak` and 80 dB below it; a column of pixels a time."""
    level = decibels(one.power, peak)
    image = axes.imshow(
        level,
        origin="lower",
        aspect="auto",
        extent=(0, one.seconds, 0, one.sample_rate / 2000),
        cmap=MAP,
        vmin=-RANGE,
        vmax=0,
        interpolation="nearest",
    )
    axes.set(ylabel="frequency [kHz]", facecolor="black")  # where there is nothing
    axes.grid(visible=False)
    return image


def scale_beside(image: "AxesImage", axes: "list[Axes]") -> None:
    """What the colours of spectrograms mean, to their right."""
    figure = _figure(axes[0])
    bar = figure.colorbar(image, ax=axes, pad=0.015, aspect=30, label="level [dB]")
    bar.outline.set_visible(False)


def draw_waveform(axes: "Axes", one: Seen, colour: str, name: str = "") -> None:
    """A waveform on a panel, from its lowest to its highest sample at each time."""
    low, high = one.envelope
    times = (np.arange(len(low)) + 0.5) / len(low) * one.seconds
    axes.fill_between(times, low, high, color=colour, lw=0.5, label=name)
    most = max(float(np.abs(one.envelope).max()), *map(abs, axes.get_ylim()), 1e-3)
    axes.set(ylabel="amplitude", xlim=(0, one.seconds), ylim=(-most, most))


def _figure(axes: "Axes") -> "Figure":
    return cast("Figure", axes.get_figure(root=True))
