"""What commands share that enhance sound while it is made: options, the model, how they end."""

import argparse
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sgmse
from sgmse.cli import console
from sgmse.cli.enhance import BACKENDS, QUALITIES
from sgmse.cli.options import Parser, count, decibels, positive

if TYPE_CHECKING:
    from sgmse.enhancer import Enhancer
    from sgmse.live import Stream

LATENCY = 0.5  # seconds


def sound(parser: Parser) -> None:
    """Options of a stream."""
    parser.value(
        "--latency",
        "SECONDS",
        "by which what goes out may be later, beside the time that the model takes; a model of "
        f"whole recordings hears half of it ahead, and gets better with more (default: {LATENCY:g})"
        "; a causal one has 32 ms whatever it may",
        positive,
    )
    parser.strength()
    parser.dry()
    parser.value(
        "--max-attenuation",
        "DB",
        "by which anything may become quieter, such as 12 (default: no limit)",
        decibels,
    )
    parser.switch(
        "upper-band",
        "keep the sound above the band of the model (8 kHz), lowered with the band below it "
        "(default); without it nothing is left there",
        default=True,
    )


def model(parser: Parser) -> None:
    """Options of the model."""
    note = " (default: live; default where a latency, a quality or shifts are asked for)"
    parser.model(None, note)
    parser.value(
        "--quality",
        "QUALITY",
        "fast, balanced, best or gentle, of a model that offers it (default: fast, where it does)",
        choices=QUALITIES,
    )
    parser.value("--shifts", "N", "as of sgmse enhance (default: 1, or that of the quality)", count)
    parser.device()
    parser.value(
        "--backend",
        "BACKEND",
        "what computes the network on a CPU, of a causal model a frame of it: torch, onnx "
        "(onnxruntime) or openvino, with results equal to 1e-4, which is checked once; auto takes "
        "what is quickest here, timed once (default: torch)",
        choices=BACKENDS,
        default="torch",
    )


def enhancer_of(
    options: argparse.Namespace, threads: int, latency: float | None = None
) -> "Enhancer":
    """The model, for so many threads that share an operation; the latency, if one is asked for."""
    import torch

    from sgmse.checkpoints import load_model

    torch.set_num_threads(threads)
    quality, name = options.quality, options.model
    if name is None:
        name = "live" if (quality, options.shifts, latency) == (None, None, None) else "default"
    if quality is None and "fast" in load_model(name).qualities:
        quality = "fast"
    shifts = options.shifts or (1 if quality is None else None)
    enhancer = sgmse.load(name, device=options.device, quality=quality, shifts=shifts)
    if options.backend == "torch":
        return enhancer
    from sgmse.export import accelerated

    say = None if options.quiet else console.say
    return accelerated(enhancer, options.backend, stream=True, say=say)


def stream_of(options: argparse.Namespace, sample_rate: int) -> "Stream":
    """A stream of sound at that rate."""
    enhancer = enhancer_of(options, options.threads, options.latency)
    from sgmse.live import Stream

    return Stream(
        enhancer,
        sample_rate,
        options.latency or LATENCY,
        dry=options.dry,
        strength=options.strength,
        max_attenuation=options.max_attenuation,
        upper_band=options.upper_band,
    )


class Ended(BaseException):
    """Leaves a read that waits for sound."""


class Ending:
    """The first request to end is a flag, which also ends a wait; the second one ends at once.

    Args:
        told: called at the first one, by a handler of signals.
    """

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self.asked = False
        self._told, self._waits = told, False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Ending":
        if threading.current_thread() is threading.main_thread():  # which alone hears of them
            for number in (n for n in signal.Signals if n.name in ("SIGINT", "SIGTERM", "SIGHUP")):
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._told()
        if self._waits:
            raise Ended

    def before(self, wait: Callable[[], bytes]) -> bytes:
        """What comes of a wait for bytes; nothing if an end is asked for, also meanwhile."""
        try:
            self._waits = True
            return b"" if self.asked else wait()
        except Ended:
            return b""
        finally:
            self._waits = False
