"""What is drawn: the data of each picture, its axes and their units, and whether it can be read."""

import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import REPOSITORY
from numpy.testing import assert_allclose
from tiny import enhancer

from sgmse import plot
from sgmse.errors import ArgumentError, ArgumentTypeError, AudioError, MissingPackageError
from sgmse.plot import house
from sgmse.plot.sampling import distance, run
from sgmse.plot.sounds import seen
from sgmse.sdes import BBED, OUVE, SBVE, VP
from sgmse.solvers import Exponential, LogSNR, Uniform

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

RATE = 16000
NOISY = REPOSITORY / "tests" / "data" / "noisy.wav"
CLEAN = REPOSITORY / "tests" / "data" / "clean.wav"
POINTS = {"a": (1.0, 2.0), "b": (10.0, 3.0), "c": (5.0, 1.0), "d": (30.0, 2.5), "e": (1.0, np.nan)}
GRID = LogSNR(8, end=0.03)
PROCESSES = [OUVE(), SBVE(), BBED(), VP()]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(samples)


def made(name: str, theme: house.Theme) -> Figure:
    """A picture of each kind."""
    model = enhancer()
    a, b = noise(8000), noise(8000, 1)
    solvers = {"ODE": Exponential(), "SDE": Exponential(eta=1.0)}
    kinds = {
        "spectrogram": lambda: plot.spectrogram(a, RATE, title="noise", theme=theme),
        "waveform": lambda: plot.waveform(a, RATE, title="noise", theme=theme),
        "before_after": lambda: plot.before_after(NOISY, CLEAN, theme=theme),
        "scales": lambda: plot.scales(PROCESSES, theme=theme),
        "forward": lambda: plot.forward(model, a, b, RATE, theme=theme),
        "reverse": lambda: plot.reverse(model.with_sampler(steps=4), a, RATE, theme=theme),
        "trajectories": lambda: plot.trajectories(solvers, OUVE(), GRID, samples=200, theme=theme),
        "pareto": lambda: plot.pareto(POINTS, "cost [s]", "quality", theme=theme),
    }
    return kinds[name]()


KINDS = ("spectrogram", "waveform", "before_after", "scales")
KINDS += ("forward", "reverse", "trajectories", "pareto")


@pytest.fixture(scope="module")
def picture():
    """Makes each picture once."""
    return cache(lambda name, theme="light": made(name, theme))


# Can they be read?


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def texts(figure: Figure) -> list:
    """What is written and seen, with its place in pixels."""
    figure.draw_without_rendering()
    found = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]
    places = [(t, t.get_window_extent()) for t in found]
    ticks = []
    for axes in figure.axes:  # ticks beyond the ends are there and not drawn
        inside = axes.get_window_extent().expanded(1.001, 1.001).padded(2)
        for axis, sides in ((axes.xaxis, (0, 2)), (axes.yaxis, (1, 3))):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                place = [tick.get_loc()] * 2
                pixel = axes.transData.transform(place)[sides[0]]
                if not inside.extents[sides[0]] <= pixel <= inside.extents[sides[1]]:
                    ticks += [tick.label1, tick.label2]
    return [(t, box) for t, box in places if t not in ticks]


def unreadable(figure: Figure, theme: house.Theme) -> list[str]:
    """What is not of at least 8 points, a contrast of 4.5, inside the picture, on no other text."""
    paper = house.colours(theme)["paper"]
    assert to_hex(figure.get_facecolor()) == paper
    written, found = texts(figure), []
    assert len(written) > 5
    width, height = figure.bbox.width + 1, figure.bbox.height + 1
    for text, box in written:
        small = text.get_fontsize() < 8
        pale = contrast(to_hex(text.get_color()), paper) < 4.5
        outside = min(box.x0, box.y0) < -1 or box.x1 > width or box.y1 > height
        if small or pale or outside:
            found.append(f"{text} {small=} {pale=} {outside=}")
    for (one, a), (other, b) in combinations(written, 2):
        if a.shrunk(0.9, 0.8).overlaps(b.shrunk(0.9, 0.8)):
            found.append(f"{one} on {other}")
    return found


@pytest.mark.slow
def test_before_and_after_can_be_read(picture):
    assert unreadable(picture("before_after"), "light") == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", KINDS)
def test_every_picture_can_be_read(name, theme, picture):
    assert unreadable(picture(name, theme), theme) == []


@pytest.mark.parametrize("name", KINDS)
def test_every_axis_has_a_name_and_where_it_has_one_a_unit(name, picture):
    labels = {(axes.get_xlabel(), axes.get_ylabel()) for axes in picture(name).axes}
    across, up = ({label for label in side if label} for side in zip(*labels, strict=True))
    assert across
    if name in ("spectrogram", "before_after", "forward", "reverse"):
        assert {"frequency [kHz]", "level [dB]"} <= up
        assert across == {"time [s]"}
    else:
        assert up or name == "scales"


def test_dark_is_the_same_in_other_colours(picture):
    names = [{v: k for k, v in house.colours(t).items()} for t in ("light", "dark")]
    for name in ("scales", "pareto"):
        for a, b in zip(picture(name).axes, picture(name, "dark").axes, strict=True):
            for one, other in zip(a.get_lines(), b.get_lines(), strict=True):
                assert_allclose(one.get_ydata(), other.get_ydata())
                used = [
                    known[to_hex(x.get_color())]
                    for known, x in zip(names, (one, other), strict=True)
                ]
                assert used[0] == used[1]


# What they show


def test_a_spectrogram_shows_a_tone_at_its_frequency_and_a_click_at_its_time():
    t = np.arange(2 * RATE) / RATE
    sound = 0.5 * np.sin(2 * np.pi * 3000 * t)
    figure = plot.spectrogram(np.where(t > 1.5, sound, 0), RATE)
    image = figure.axes[0].images[0]
    level, (left, right, low, high) = np.asarray(image.get_array()), image.get_extent()
    assert (left, right, low, high) == (0, 2, 0, 8)
    assert level.max() == 0
    row, column = np.argwhere(level > -6).T
    assert_allclose((row + 0.5) / len(level) * high, 3, atol=0.1)
    assert_allclose(column.min() / level.shape[1] * right, 1.5, atol=0.03)
    assert image.get_clim() == (-80, 0)


def test_before_and_after_share_their_scales():
    """The second, 20 dB lower and of another rate, is 20 dB darker and reaches to its own half."""
    a = noise(32000)
    figure = plot.before_after(a, 0.1 * a, RATE, names=("noisy", "clean"))
    upper, lower, waves = figure.axes[:3]
    assert [axes.get_title() for axes in (upper, lower)] == ["noisy", "clean"]
    loud, quiet = (np.asarray(axes.images[0].get_array()) for axes in (upper, lower))
    assert loud.max() == 0
    assert_allclose(loud - quiet, 20, atol=1e-6)
    bands = [c.get_paths()[0].vertices[:, 1] for c in waves.collections]
    assert [np.abs(band).max() for band in bands] == pytest.approx(
        [abs(a).max(), abs(a).max() / 10]
    )
    assert [t.get_text() for t in waves.get_legend().get_texts()] == ["noisy", "clean"]
    assert waves.get_xlim() == (0, 2)


def test_before_and_after_of_files_of_other_rates(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([noise(16000)] * 2, 1), 16000)
    soundfile.write(tmp_path / "b.wav", noise(24000), 48000)
    figure = plot.before_after(tmp_path / "a.wav", str(tmp_path / "b.wav"))
    upper, lower, waves = figure.axes[:3]
    assert upper.get_ylim() == lower.get_ylim() == (0, 24)
    assert [axes.images[0].get_extent() for axes in (upper, lower)] == [
        [0, 1, 0, 8],
        [0, 0.5, 0, 24],
    ]
    assert waves.get_xlim() == (0, 1)


def test_a_panel_of_ones_own():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot.waveform(noise(800), RATE, axes=left) is figure
    assert plot.spectrogram(noise(800), RATE, axes=right) is figure
    assert left.collections
    assert right.images


def test_scales_are_those_of_the_processes(picture):
    t = np.linspace(0, 1, 401)
    for number, sde in enumerate(PROCESSES):
        for axes, scale in zip(picture("scales").axes, sde.scales(torch.tensor(t)), strict=True):
            line = axes.get_lines()[number]
            assert_allclose(line.get_xdata(), t)
            assert_allclose(line.get_ydata(), scale)
            assert line.get_label().startswith(type(sde).__name__)


def test_forward_states_are_those_of_the_process():
    """At t = 0 the clean recording, at the end of a bridge the noisy one; noise between."""
    model = enhancer()  # of SBVE
    a, b = noise(8000), noise(8000, 1)
    figure = plot.forward(model, a, b, RATE, times=(0, 0.5, 1))
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["t = 0.00", "t = 0.50", "t = 1.00"]
    first, _, last = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:3])
    for level, sound in ((first, a), (last, b)):
        power = seen(sound / abs(b).max(), RATE).power
        reference = seen(a / abs(b).max(), RATE).power.max()
        wanted = 10 * np.log10(power / reference)
        assert np.quantile(np.abs(level - wanted), 0.9) < 1  # dB


def test_reverse_states_begin_with_the_start_and_end_in_the_result():
    model = enhancer().with_sampler(steps=6)
    sound = noise(8000)
    figure = plot.reverse(model, sound, RATE, states=3)
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["t = 1.00", "t = 0.50", "t = 0.00"]
    first = np.asarray(figure.axes[0].images[0].get_array())
    wanted = 10 * np.log10(seen(sound, RATE).power)
    # a bridge starts in the recording; 0 dB is the loudest point of the result
    assert np.quantile(np.abs(first - wanted - np.median(first - wanted)), 0.9) < 1
    last = np.asarray(figure.axes[2].images[0].get_array())
    assert last.max() == 0
    other = plot.reverse(model, sound, RATE, states=2).axes[1].images[0]
    assert_allclose(last, np.asarray(other.get_array()), atol=1e-3)


def test_trajectories_start_and_end_where_the_solver_does(picture):
    law = plot.Posterior()
    figure = picture("trajectories")
    times, states = run(Exponential(), OUVE(), GRID, law, 200, 0)
    left, right = figure.axes[:2]
    lines = [line for line in left.get_lines() if line.get_marker() == "None"]
    assert len(lines) == 24
    for number, line in enumerate(lines):
        assert_allclose(line.get_xdata(), times)
        assert_allclose(line.get_ydata(), states[:, number])
    assert left.get_xlim() == (1, 0)
    assert left.get_title() == "ODE, 8 steps"
    said = float(right.get_title().removeprefix("W1 / sd = "))
    assert said == pytest.approx(distance(states[-1], law.draw(50_000).sort().values), abs=0.02)
    # The share of the bars above 0.2 is that of the samples there.
    bars = [(p.get_y() + p.get_height() / 2, p.get_width() * p.get_height()) for p in right.patches]
    above = sum(area for y, area in bars if y > 0.2)
    assert above == pytest.approx(float((states[-1] > 0.2).double().mean()), abs=0.02)
    assert sum(area for _, area in bars) == pytest.approx(1)


def test_more_steps_come_nearer_to_the_posterior():
    """The exact model is one: with many steps an SDE solver draws from the law that it is of."""
    law = plot.Posterior((-0.3, 0.1, 0.6), (0.05, 0.1, 0.05), (1, 2, 1))
    exact = law.draw(50_000).sort().values

    def error(steps: int) -> float:
        grid = LogSNR(steps, end=1e-3)
        return distance(run(Exponential(eta=1.0), SBVE(), grid, law, 4000, 0)[1][-1], exact)

    assert error(40) < 0.07 < error(4)


def test_the_density_of_a_posterior_is_one():
    x = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    t = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
    density = plot.Posterior().density(x, t, OUVE())
    assert_allclose(torch.trapezoid(density, x), 1, rtol=1e-6)
    empirical = plot.Posterior().draw(100_000)
    assert_allclose(torch.trapezoid(density[0] * x, x), empirical.mean(), atol=0.01)


def test_processes_from_noise_have_trajectories():
    figure = plot.trajectories(Exponential(), VP(), Uniform(6, start=0.99, end=0.01), samples=100)
    assert figure.axes[0].get_title().startswith("Exponential(")
    assert len(figure.axes) == 2


def test_a_pareto_front_is_of_those_that_none_beats(picture):
    (axes,) = picture("pareto").axes
    *points, steps = axes.get_lines()
    assert [p.get_label() for p in points] == ["a", "b", "c", "d"]
    assert_allclose([[*p.get_xdata(), *p.get_ydata()] for p in points], [*POINTS.values()][:4])
    assert_allclose(steps.get_xydata(), [(1, 2), (10, 3), (30, 3)])
    assert axes.get_xscale() == "log"
    less = plot.pareto(POINTS, "s", "error", higher_is_better=False, log=False).axes[0]
    assert_allclose(less.get_lines()[-1].get_xydata(), [(1, 2), (5, 1), (30, 1)])
    assert len({(p.get_color(), p.get_marker()) for p in points}) == 4


# Files, and what is refused


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix", ["svg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("png", "pdf"))]
)
def test_files_are_whole_and_the_same_each_time(suffix, tmp_path, picture):
    first, second = tmp_path / "new" / f"a.{suffix}", tmp_path / f"b.{suffix}"
    assert plot.save(made("pareto", "light"), first) == first
    plot.save(made("pareto", "light"), str(second))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 5000
    with pytest.raises(AudioError, match="exists already; use --overwrite"):
        plot.save(picture("scales"), first)
    plot.save(picture("scales"), first, overwrite=True)
    assert first.read_bytes() != second.read_bytes()


def test_a_picture_that_fails_leaves_nothing(tmp_path, picture, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    (tmp_path / "a.png").write_text("before")
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space"):
        plot.save(picture("pareto"), tmp_path / "a.png", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "before"


def test_a_notebook_shows_them(picture):
    assert picture("pareto")._repr_png_().startswith(b"\x89PNG")


def test_a_callers_settings_stay():
    with matplotlib.rc_context({"font.size": 31.0, "axes.grid": False}):
        before = dict(matplotlib.rcParams)
        figure = plot.pareto(POINTS, "s", "q", theme="dark")
        assert dict(matplotlib.rcParams) == before
        assert figure.axes[0].xaxis.label.get_fontsize() == 10


def test_what_is_refused(tmp_path, picture):
    stereo, batch = np.zeros((2, 800)) + 0.1, np.zeros((3, 1, 800)) + 0.1
    model = enhancer()
    for kind, words, made in (
        (ArgumentError, "theme must be 'light' or 'dark', not 'grey'",
            lambda: plot.scales(OUVE(), theme="grey")),
        (ArgumentTypeError, "an array needs its rate", lambda: plot.spectrogram(noise(80))),
        (ArgumentTypeError, "of one recording, not of 3", lambda: plot.waveform(batch, RATE)),
        (ArgumentError, "has 16000 Hz, not 8000", lambda: plot.waveform(NOISY, 8000)),
        (AudioError, "no such file", lambda: plot.spectrogram(tmp_path / "gone.wav")),
        (ArgumentTypeError, "must be an object such as SBVE", lambda: plot.scales(OUVE)),
        (ArgumentTypeError, "sdes must be a process", lambda: plot.scales([])),
        (ArgumentError, "of one channel, not of 2", lambda: plot.reverse(model, stereo, RATE)),
        (ArgumentError, "at most 20 s",
            lambda: plot.reverse(model, noise(21 * RATE), RATE)),
        (ArgumentError, "give both the same",
            lambda: plot.forward(model, noise(800), noise(900), RATE)),
        (ArgumentError, "nothing to show of q", lambda: plot.pareto({"a": (np.nan, 1)}, "s", "q")),
        (ArgumentError, "no place for s of 0", lambda: plot.pareto({"a": (0, 1)}, "s", "q")),
        (ArgumentError, "each mode has a mean", lambda: plot.Posterior((0.0,), (0.1, 0.1))),
        (ArgumentError, "a picture is .png, .svg, .pdf, not '.bmp'",
            lambda: plot.save(picture("pareto"), "a.bmp")),
    ):  # fmt: skip
        with pytest.raises(kind, match=words):
            made()
    assert not Path("a.bmp").exists()


def test_matplotlib_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[plot\]'"):
        plot.scales(OUVE())


@pytest.mark.slow  # a process of its own
def test_pyplot_stays_out():
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from sgmse import plot; import numpy as np\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.waveform(np.ones(800) / 2, 8000)\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
