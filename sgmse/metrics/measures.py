"""The measures that a benchmark can report: each metric, what it needs, how it is printed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgmse._checks import an
from sgmse._extras import missing
from sgmse.errors import ArgumentError, MetricError, did_you_mean
from sgmse.metrics import (
    Transcriber,
    composite,
    distillmos,
    dnsmos,
    estoi,
    lsd,
    lsd_high,
    pesq_nb,
    pesq_nb_c2,
    pesq_wb,
    pesq_wb_c2,
    phone_similarity,
    segmental_snr,
    si_sar,
    si_sdr,
    si_sir,
    speaker_similarity,
    sphinx_word_errors,
    stoi,
    visqol,
    word_error_rate,
)

Channel = NDArray[np.floating]  # (samples,)


class Channels(NamedTuple):
    """One channel of each file of a recording, equally long, and what is spoken, if it is known."""

    estimate: Channel
    reference: Channel | None = None
    noisy: Channel | None = None
    text: str | None = None


@dataclass(frozen=True)
class Measure:
    """A metric and its conventions.

    Args:
        name: as in tables, "PESQ-WB"; names are compared without regard to case.
        function: f(reference, estimate, sample_rate) -> float, f(estimate, sample_rate) if it needs
            no reference, f(reference, estimate, sample_rate, noise) if it needs the noisy file.
            `MetricError` for what cannot be scored. A function of a module, so that worker
            processes can import it.
        rates: sample rates in Hz that it takes; empty for any.
        needs_noisy: whether it takes the noise, which is the noisy recording less the clean one.
        needs_reference: whether it compares with the clean recording.
        higher_is_better: the direction of better.
        digits: after the point, in tables.
        unit: such as "dB"; empty for a bare number.
        extra: of this package that installs what it needs; empty for none.
        packages: what the extra installs for it, by the names that are imported.
        part: the field of the named tuple that the function returns; empty if it is a number.
        noise: what a score moves without a reason, in its unit: 95 % of the changes that come of
            cutting the same few milliseconds off the start of both files are smaller
            (benchmarks/score_noise.py).
            Smaller differences of a file are neither better nor worse. 0 where it is not known:
            then every difference counts.
        takes_text: whether the text that is spoken, where it is known, replaces the reference.
    """

    name: str
    function: Callable[..., Any]
    rates: tuple[int, ...] = ()
    needs_noisy: bool = False
    needs_reference: bool = True
    higher_is_better: bool = True
    digits: int = 2
    unit: str = ""
    extra: str = ""
    packages: tuple[str, ...] = ()
    part: str = ""
    takes_text: bool = False
    noise: float = 0.0

    def __call__(
        self,
        reference: Channel | None,
        estimate: Channel,
        sample_rate: int,
        noisy: Channel | None = None,
        text: str | None = None,
    ) -> float:
        """The score of one channel; the signals are equally long. Raises `MetricError`."""
        return self.value_in(self.results(Channels(estimate, reference, noisy, text), sample_rate))

    def results(self, channels: Channels, sample_rate: int) -> Any:
        """What the function returns: the score, or several of which this measure is one.

        Measures with the same function have the same results for the same signals.
        """
        estimate, reference, noisy, text = channels
        if not self.needs_reference:
            return self.function(estimate, sample_rate)
        if self.takes_text and text is not None:
            return self.function(text, estimate, sample_rate)
        if reference is None:
            raise MetricError(f"{self.name} needs the clean recording")
        if not self.needs_noisy:
            return self.function(reference, estimate, sample_rate)
        if noisy is None:
            raise MetricError(f"{self.name} needs the noisy recording (--noisy)")
        if len(noisy) != len(reference):
            raise MetricError(
                f"the noisy recording has {len(noisy)} samples, the clean one {len(reference)};"
                " align and trim them first"
            )
        return self.function(reference, estimate, sample_rate, noisy - reference)

    def value_in(self, results: Any) -> float:
        """This measure's score in what its function returned."""
        return float(getattr(results, self.part) if self.part else results)

    def require(self) -> None:
        """Raise `ImportError`, which names the remedy, unless its packages are installed."""
        for package in self.packages:
            if find_spec(package) is None:
                raise missing(package, "this metric", self.extra)


MEASURES: tuple[Measure, ...] = (
    Measure(
        "PESQ-WB", pesq_wb, (16000,), digits=3, extra="metrics", packages=("pesq",), noise=0.12
    ),
    Measure(
        "PESQ-NB", pesq_nb, (8000, 16000), digits=3, extra="metrics", packages=("pesq",), noise=0.15
    ),
    Measure("STOI", stoi, digits=3, extra="metrics", packages=("pystoi",), noise=0.0059),
    Measure("ESTOI", estoi, digits=3, extra="metrics", packages=("pystoi",), noise=0.014),
    Measure("SI-SDR", si_sdr, unit="dB", noise=0.034),
    Measure("SI-SIR", si_sir, needs_noisy=True, unit="dB", noise=0.11),
    Measure("SI-SAR", si_sar, needs_noisy=True, unit="dB", noise=0.055),
    Measure("SegSNR", segmental_snr, unit="dB", noise=0.089),
    Measure("LSD", lsd, higher_is_better=False, digits=3, noise=0.056),
    Measure("LSD-8k", lsd_high, higher_is_better=False, unit="dB", noise=0.098),
    Measure(
        "CSIG", composite, (16000,), extra="metrics", packages=("pesq",), part="csig", noise=0.064
    ),
    Measure(
        "CBAK", composite, (16000,), extra="metrics", packages=("pesq",), part="cbak", noise=0.056
    ),
    Measure(
        "COVL", composite, (16000,), extra="metrics", packages=("pesq",), part="covl", noise=0.089
    ),
    *(
        Measure(
            f"DNSMOS-{part.upper()}",
            dnsmos,
            (16000,),
            needs_reference=False,
            extra="mos",
            packages=("speechmos", "librosa", "onnxruntime", "requests"),
            part=part,
            noise=noise,
        )
        for part, noise in (("sig", 0.18), ("bak", 0.28), ("ovrl", 0.21), ("p808", 0.19))
    ),
    Measure(
        "DistillMOS",
        distillmos,
        (16000,),
        needs_reference=False,
        extra="distillmos",
        packages=("distillmos",),
    ),
    Measure(
        "PESQ-WB-C2",
        pesq_wb_c2,
        (16000,),
        digits=3,
        extra="pesqc2",
        packages=("pesqc2",),
        noise=0.11,
    ),
    Measure(
        "PESQ-NB-C2",
        pesq_nb_c2,
        (8000, 16000),
        digits=3,
        extra="pesqc2",
        packages=("pesqc2",),
        noise=0.15,
    ),
    Measure(
        "ViSQOL",
        visqol,
        (16000,),
        extra="visqol",
        packages=("visqol", "ai_edge_litert"),
        noise=0.21,
    ),
    Measure(
        "PhoneSim",
        phone_similarity,
        (16000,),
        digits=3,
        extra="words",
        packages=("pocketsphinx",),
        noise=0.13,
    ),
    Measure(
        "WER-Sphinx",
        sphinx_word_errors,
        (16000,),
        higher_is_better=False,
        digits=3,
        extra="words",
        packages=("pocketsphinx",),
        takes_text=True,
        noise=0.36,
    ),
    Measure(
        "SpeakerSim",
        speaker_similarity,
        (16000,),
        digits=3,
        extra="speaker",
        packages=("resemblyzer", "librosa"),
        noise=0.017,
    ),
)
ALIASES = {"pesq": "pesq-wb"}


def select(measures: Iterable[str | Measure]) -> tuple[Measure, ...]:
    """Measures by name or as they are, in order, each once.

    Raises `ArgumentError` for a name that none has, and if there are none.
    """
    known = {measure.name.lower(): measure for measure in MEASURES}
    selected = {}
    for measure in measures:
        if isinstance(measure, str):
            name = measure.strip().lower()
            name = ALIASES.get(name, name)
            if name not in known:
                raise ArgumentError(
                    f"no measure is called {measure!r}{did_you_mean(name, [*known, *ALIASES])}; "
                    f"known are {', '.join(known)}"
                )
            measure = known[name]
        an("measure", measure, Measure, "Measure(name, function), or a name such as 'PESQ-WB'")
        selected[measure.name.lower()] = measure
    if not selected:
        raise ArgumentError(f"name at least one measure of {', '.join(known)}")
    return tuple(selected.values())


def word_errors(transcribe: Transcriber) -> Measure:
    """Word error rate by a recogniser, (samples, sample_rate) -> text, as a measure, "WER".

    A function of a module, or an object that can be pickled, so that worker processes can call it.
    """
    function = partial(word_error_rate, transcribe=transcribe)
    return Measure("WER", function, higher_is_better=False, digits=3, takes_text=True)
