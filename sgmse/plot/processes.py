"""Pictures of processes: their scales over time, and recordings on the way there and back.

    scales([OUVE(), SBVE()])
    forward(sgmse.load("score"), "clean.wav", "noisy.wav")
    reverse(sgmse.load("score"), "noisy.wav")

A state is shown as the sound that it is: its spectrogram goes back to audio through the model's
front, and that is drawn like any other recording, all on the scale of the one nearest to clean.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sgmse._checks import an, number, whole
from sgmse._noise import Draws
from sgmse.audio import cut, resample
from sgmse.config import abridged
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ArgumentTypeError
from sgmse.plot.house import Theme, look, panels, style
from sgmse.plot.sounds import Seen, draw_spectrogram, scale_beside, seen
from sgmse.sdes import SDE
from sgmse.solvers import Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 20.0  # s of a recording whose states are kept


def scales(sdes: SDE | Sequence[SDE], *, theme: Theme = "light") -> "Figure":
    """a, b and sigma of one or several processes over their time, a panel each.

    Raises `ArgumentTypeError` for what is no process, `MissingPackageError` without matplotlib.
    """
    every = [*sdes] if isinstance(sdes, Sequence) else [sdes]
    if not every:
        raise ArgumentTypeError("sdes must be a process such as SBVE(), or several, not none")
    for sde in every:
        an("sdes", sde, SDE, "SBVE()")
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    with style(theme):
        figure, axes = panels(1, 3, 10, 3.4, sharex=True)
        dashes = ("-", "--", ":", "-.")
        for kind, sde in enumerate(every):
            colour, dash = look(kind, theme)["color"], dashes[kind % len(dashes)]
            for panel, scale in zip(axes, sde.scales(t), strict=True):
                panel.plot(t, scale.numpy(), ls=dash, lw=1.8, color=colour, label=abridged(sde))
        for panel, name in zip(
            axes,
            ("a(t), of the clean", "b(t), of the observation", "sigma(t), of the noise"),
            strict=True,
        ):
            panel.set(title=name, xlabel="time t of the process", xlim=(0, 1))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def forward(
    enhancer: Enhancer,
    clean: Any,
    noisy: Any,
    sample_rate: int | None = None,
    *,
    times: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    seed: int = 0,
    theme: Theme = "light",
) -> "Figure":
    """The states x_t = a x0 + b y + sigma z of a recording on the way to its observation.

    Args:
        enhancer: whose process and front it is; of a model with a predictor, y is the recording.
        clean, noisy: the same recording, a file or an array of one channel, at most 20 s.
        sample_rate: in Hz, of arrays.
        times: of the states, 0 to 1.
        seed: of the noise, one draw for all times.
        theme: "light" or "dark".

    Raises `ArgumentError` for recordings of several channels or other lengths.
    """
    an("enhancer", enhancer, Enhancer, "sgmse.load()")
    both = [_mono(audio, sample_rate, enhancer) for audio in (clean, noisy)]
    if both[0].shape != both[1].shape:
        lengths = " and ".join(str(len(audio)) for audio in both)
        raise ArgumentError(f"clean and noisy are of {lengths} samples; give both the same")
    level = float(both[1].abs().max()) or 1.0
    x0, y = (enhancer.spectrogram(audio[None] / level) for audio in both)
    z = Draws(whole("seed", seed, 0), 0)(x0)
    every = [number("times", t, 0, 1) for t in times]
    states = [enhancer.model.sde.sample(x0, y, torch.tensor([t]).to(x0.real), z) for t in every]
    sounds = [enhancer.audio(state, len(both[0])) for state in states]
    return _states(enhancer, sounds, every, theme)


def reverse(
    enhancer: Enhancer,
    noisy: Any,
    sample_rate: int | None = None,
    *,
    states: int = 5,
    seed: int = 0,
    theme: Theme = "light",
) -> "Figure":
    """The states of the sampler of an enhancer on the way from a recording to its result.

    Args:
        enhancer: with its sampler; `with_sampler` gives it another one.
        noisy: a file or an array of one channel, at most 20 s.
        sample_rate: in Hz, of an array.
        states: how many are drawn, evenly spaced over the steps, the first and the last among them.
        seed: of the noise.
        theme: "light" or "dark".

    Raises `ArgumentError` for a recording of several channels, or a sampler of no steps.
    """
    an("enhancer", enhancer, Enhancer, "sgmse.load()")
    whole("states", states, 2)
    kept, times, samples = reversed_states(enhancer, noisy, sample_rate, seed=seed)
    places = np.unique(np.linspace(0, len(kept) - 1, states).round().astype(int))
    delay = enhancer.model.delay(enhancer.front.transform.hop)  # of the frames of the states
    sounds = [enhancer.audio(kept[place], delay + samples)[:, delay:] for place in places]
    return _states(enhancer, sounds, [times[place] for place in places], theme)


def reversed_states(
    enhancer: Enhancer, noisy: Any, sample_rate: int | None = None, *, seed: int = 0
) -> tuple[list[torch.Tensor], list[float], int]:
    """All states of a run, their times, and the samples of the recording at the model's rate."""
    if enhancer.sampler.grid.steps == 0:
        raise ArgumentError("a sampler of no steps has no states; with_sampler(steps=4) has")
    audio = _mono(noisy, sample_rate, enhancer)
    level = float(audio.abs().max()) or 1.0
    path = Trajectory()
    with torch.inference_mode():
        x = enhancer.spectrogram(audio[None] / level)
        enhancer.sampled(x, len(audio), Draws(whole("seed", seed, 0), 0), path)
    return list(path.states()), path.times, len(audio)


def _mono(audio: Any, sample_rate: int | None, enhancer: Enhancer) -> torch.Tensor:
    """A recording of one channel at the rate of the model, (samples,)."""
    one = seen(audio, sample_rate)
    if one.seconds > LONGEST:
        long = f"{one.seconds:.1f} s"
        raise ArgumentError(f"the states of {long} are too many; give at most {LONGEST:g} s")
    rows = np.concatenate([np.float32(block) for block in one.stream()], axis=1)
    if len(rows) != 1:
        raise ArgumentError(f"the states are of one channel, not of {len(rows)}; give audio[0]")
    return resample(torch.from_numpy(rows), one.sample_rate, enhancer.front.sample_rate)[0]


def _states(
    enhancer: Enhancer,
    sounds: Sequence[torch.Tensor],
    times: Sequence[float],
    theme: Theme,
) -> "Figure":
    """Spectrograms of what states sound like in a row, on the scale of the one nearest to clean."""
    rate, samples = enhancer.front.sample_rate, sounds[0].shape[1]
    every = [Seen(partial(cut, sound.cpu().numpy()), samples, rate) for sound in sounds]
    peak = float(every[int(np.argmin(times))].power.max())
    with style(theme):
        width = 1.4 + 2.3 * len(every)
        figure, axes = panels(1, len(every), width, 3, sharex=True, sharey=True)
        for panel, one, t in zip(axes, every, times, strict=True):
            image = draw_spectrogram(panel, one, peak)
            panel.set(title=f"t = {t:.2f}", xlabel="time [s]")
            panel.locator_params(axis="x", nbins=4, prune="upper")
            panel.label_outer()
        scale_beside(image, axes)
    return figure
