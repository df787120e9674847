"""Models of this library as systems: a model with a solver, steps and a grid."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple, Self

import torch
from typing_extensions import override

from sgmse import audio
from sgmse._checks import number
from sgmse.bench._systems import (
    EnhanceFile,
    EnhanceFiles,
    System,
    Usage,
    peak_memory,
    warm_up,
    write_exact,
)
from sgmse.bench._together import Together
from sgmse.checkpoints import PACKAGED, QualityName, load_model, locate
from sgmse.checkpoints.hub import HUB
from sgmse.checkpoints.native import AUTOENCODER, CONFIG, UPPER_BAND, WEIGHTS
from sgmse.enhancer import Enhancer, load
from sgmse.errors import ArgumentError, RecordingWarning
from sgmse.scoring.provenance import About, combined, digest, versions
from sgmse.solvers import Grid, Solver

AT_ONCE = 32  # recordings on a GPU; fewer in a batch where its memory does not suffice
#: Keys of a config.json that change no sample of a result, at the rate of the model.
SAID = ("licence", "training", "samplers", "qualities", "upper_band", "effect", "mends")


class _Sampled(NamedTuple):
    """How a model is sampled: its solver on its grid, with all else that decides the sound."""

    sampler: str
    all: str
    draws: bool  # noise


@dataclass(frozen=True)
class Model(System):
    """A model of this library.

    Args:
        model: "default", a folder, a published checkpoint or "hf://owner/name"; a relative path
            starts at the folder of the suite.
        solver, steps, grid, shifts: in place of the recommended ones; `steps` are the grid's.
        compat: "sgmse" for the arithmetic of the published sampler.
        device: where it runs; CUDA where there is a GPU for it, else the CPU, if absent.
        force: sample it as it is not made for.
        together: recordings that are enhanced at once; 32 on a GPU and one on a CPU, if absent.
        quality: "fast", "balanced", "best" or "gentle", of a model that offers it.
        dry, strength: share of the input in the result, and strength of the attenuation; those of
            the model or its quality, if absent.
    """

    model: str = "default"
    solver: Solver | None = None
    steps: int | None = None
    grid: Grid | None = None
    shifts: int | None = None
    compat: Literal["sgmse"] | None = None
    device: str | None = None
    force: bool = False
    together: int | None = None
    quality: QualityName | None = None
    dry: float | None = None
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.dry is not None:
            number("dry", self.dry, 0, 1)
        if self.strength is not None:
            number("strength", self.strength, 0, 2)
        if self.grid is not None and self.steps is not None:
            raise ArgumentError("give a grid, which has its steps, or steps, not both")
        if self.together is not None and self.together < 1:
            raise ArgumentError(f"together must be at least 1, not {self.together}")

    @override
    def rooted(self, folder: Path) -> Self:
        """The same with a model below a folder, if its name is a path."""
        if self.model in PACKAGED or self.model.startswith(HUB):
            return self
        return replace(self, model=str(folder / self.model))

    @override
    def require(self) -> None:
        """Raise `ValueError` for a model that is not there or cannot be sampled so."""
        _ = self._sampler

    @cached_property
    def _sampler(self) -> "_Sampled":
        """How the model is sampled."""
        enhancer = self.enhancer()
        sampler, sde = enhancer.sampler, enhancer.model.sde
        device = next(enhancer.model.parameters(), torch.empty(0)).device.type
        pieces = f"{enhancer.segment} s, {enhancer.overlap} s"
        front = enhancer.front
        framing = (
            f"{front.padding}, {front.multiple}, {front.tail}, {front.level}, {sampler.shifts}"
        )
        draws = sampler.solver.draws(sde) or not (sde.pinned and sampler.grid.start == 1)
        kept = f", {enhancer.dry:g} of the recording" if enhancer.dry else ""
        kept += f", strength {enhancer.strength:g}" if enhancer.strength != 1 else ""
        return _Sampled(
            f"{sampler}{kept}", f"{sampler}, {pieces}, {framing}{kept}, {device}", draws
        )

    @property
    def sampled(self) -> str:
        """The name of the model that is sampled: another one, where a quality has one."""
        if self.quality is None:
            return self.model
        chosen = load_model(self.model, compat=self.compat).qualities.get(self.quality)
        return self.model if chosen is None or chosen.model is None else chosen.model

    @property
    @override
    def seeded(self) -> bool:
        """Whether the solver, or the start of the process, draws noise."""
        return self._sampler.draws

    @override
    def conditions(self) -> Mapping[str, str]:
        """The digests of the model and of what it has for the band above, and the sampler."""
        place = locate(self.sampled)
        upper = place / UPPER_BAND
        return {
            "model": Path(self.sampled).name,
            "weights": model_digest(place),
            **({"upper band": combined({UPPER_BAND: digest(upper)})} if upper.exists() else {}),
            "sampler": self._sampler.all,
            **versions(),
        }

    @override
    def about(self, conditions: Mapping[str, str]) -> About:
        """The model and its sampler, the version of the library, the weights by their digest."""
        place, own = locate(self.sampled), "sgmse-toolkit"
        config = {} if place.is_file() else json.loads((place / CONFIG).read_text("utf-8"))
        parts = [f"{own} {conditions[own]}"] if own in conditions else []
        return About(
            f"{conditions['model']}: {self._sampler.sampler}",
            ", ".join([*parts, f"weights {conditions['weights'][:8]}"]),
            config.get("licence", ""),
        )

    @property
    @override
    def at_once(self) -> int:
        if self.together is not None:
            return self.together
        return 1 if self._sampler.all.endswith(", cpu") else AT_ONCE

    @override
    def on(self, device: str) -> Self:
        return self if self.device else replace(self, device=device)

    @override
    def load_together(self) -> EnhanceFiles:
        """Spectrograms of equal size are a batch; the seconds of all are shared by duration."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            plain = self.enhancer()
            rate = plain.front.sample_rate
            replace(plain, force=True)(warm_up(rate), rate)
        enhancer = Together.like(plain, self.at_once)

        def enhance(files: Sequence[tuple[Path, Path, int]]) -> list[Usage | Exception]:
            read: list[tuple[Any, audio.Info] | Exception] = []
            for source, _, _ in files:
                try:
                    read.append(audio.read(source))
                except Exception as error:
                    read.append(error)
            waiting = [i for i, recording in enumerate(read) if isinstance(recording, tuple)]

            def clean(i: int) -> Any:
                noisy, about = read[i]  # type: ignore[misc]
                try:
                    return enhancer(noisy, about.sample_rate, seed=files[i][2])
                except Exception as error:
                    return error

            start = perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)  # the scores say it
                made = dict(zip(waiting, enhancer.map(clean, waiting), strict=True))
            seconds = perf_counter() - start
            total = sum(read[i][1].duration for i in waiting)  # type: ignore[index,misc]
            results: list[Usage | Exception] = []
            for i, recording in enumerate(read):
                result = made.get(i, recording)
                if isinstance(recording, Exception) or isinstance(result, Exception):
                    results.append(result)
                    continue
                about = recording[1]
                try:
                    write_exact(files[i][1], result, about.sample_rate)
                except OSError as error:
                    results.append(error)
                    continue
                results.append(Usage(seconds * about.duration / total, at_once=len(waiting)))
            return results

        return enhance

    def enhancer(self) -> Enhancer:
        """The model with its sampler. Raises `ValueError` as `require` does."""
        enhancer = load(self.model, device=self.device, quality=self.quality, compat=self.compat)
        if self.dry is not None:
            enhancer = replace(enhancer, dry=self.dry)
        if self.strength is not None:
            enhancer = replace(enhancer, strength=self.strength)
        sampler = (self.solver, self.steps, self.shifts, self.grid)
        return enhancer.with_sampler(*sampler, force=self.force)

    @override
    def load(self) -> EnhanceFile:
        """The evaluations are those of all its networks, for each piece of a recording."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)  # `require` has said what matters
            enhancer = self.enhancer()
            rate = enhancer.front.sample_rate
            replace(enhancer, force=True)(warm_up(rate), rate)
        calls = Counter[str]()
        for part in ("network", "predictor"):
            if (network := enhancer.model.parts.get(part)) is not None:
                network.register_forward_hook(lambda *_: calls.update(network=1))

        def enhance(source: Path, target: Path, seed: int) -> Usage:
            noisy, about = audio.read(source)
            calls.clear()
            start = perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RecordingWarning)  # the scores say it
                clean = enhancer(noisy, about.sample_rate, seed=seed)
            seconds = perf_counter() - start
            write_exact(target, clean, about.sample_rate)
            evaluations = calls["network"] / pieces(enhancer, about)
            return Usage(seconds, evaluations, peak_memory())

        return enhance


def model_digest(place: Path) -> str:
    """Of a published file, or of a folder's weights and what of its config decides the sound."""
    if place.is_file():
        return combined({place.name: digest(place)})
    config = json.loads((place / CONFIG).read_text("utf-8"))
    heard = {key: value for key, value in config.items() if key not in SAID}
    text = json.dumps(heard, sort_keys=True)
    names = [WEIGHTS, *([AUTOENCODER] if (place / AUTOENCODER).exists() else [])]
    return combined({**{name: digest(place / name) for name in names}, CONFIG: text})


def pieces(enhancer: Enhancer, about: audio.Info) -> int:
    """How many batches a recording is enhanced in."""
    rate = enhancer.front.sample_rate
    length = audio.resampled_length(about.frames, about.sample_rate, rate)
    return enhancer.pieces(length) * ceil(about.channels / enhancer.channels_at_once)
