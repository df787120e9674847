"""Streams audio through a step that `sgmse export --stream` has written.

It needs numpy and onnxruntime alone, and may be copied beside the model:

    python runner.py step.onnx noisy.wav clean.wav
    ffmpeg -i talk.mkv -f s16le -ac 1 -ar 16000 - | python runner.py step.onnx --raw s16 > clean.raw

or from Python, with blocks of any length, at the sample rate of the model:

    runner = Runner.open("step.onnx")
    for block in microphone:                # floats of full scale 1
        loudspeaker.write(runner(block))    # as many samples, `runner.delay` later
    loudspeaker.write(runner.flush())       # the last ones

WAV files are of 16 bits. What comes out of the command is aligned with what goes in, and as long.
"""

import argparse
import os
import sys
import time
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
#: A hop of samples (1, hop) and the state (n,) to what comes out, (1, hop), and the next state.
Step = Callable[[Samples, Samples], tuple[Samples, Samples]]
KINDS: dict[str, np.dtype[Any]] = {"s16": np.dtype("<i2"), "f32": np.dtype("<f4")}


class Runner:
    """Blocks in, blocks out: as `sgmse.live.Stream` at the rate of the model.

    Args:
        step: what the file computes.
        facts: what it says of itself, `metadata_props` of the model.
    """

    def __init__(self, step: Step, facts: Mapping[str, str]) -> None:
        if facts.get("kind") != "stream":
            raise ValueError("that is no step of a stream; write one by sgmse export --stream")
        self._step = step
        self.facts = dict(facts)
        self.sample_rate, self.hop = int(facts["sample_rate"]), int(facts["hop"])
        self._size, self._ends = int(facts["state_size"]), facts["ends"]
        self.reset()

    @classmethod
    def open(cls, model: str | Path | bytes, threads: int = 1) -> "Runner":
        """Of a file, or of what is in one."""
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.set_denormal_as_zero", "1")  # quiet is as quick
        source = model if isinstance(model, bytes) else str(model)
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

        def step(audio: Samples, state: Samples) -> tuple[Samples, Samples]:
            out, after = session.run(["enhanced", "next_state"], {"audio": audio, "state": state})
            return out, after

        return cls(step, session.get_modelmeta().custom_metadata_map)

    @property
    def delay(self) -> int:
        """Samples by which what comes out is later: a window, but for the one that completes it."""
        return 2 * self.hop - 1

    def reset(self) -> None:
        """Forget all that was heard; the next block begins a recording, of any channels."""
        self._shape: tuple[int, ...] | None = None
        self._states: list[Samples] = []
        self._received = 0

    def __call__(self, block: NDArray[Any]) -> Samples:
        """The next samples of (samples,) or (channels, samples), at first `delay` of silence.

        Each channel is a stream of its own. Raises ValueError for samples that are not finite, and
        for other channels than before; then it is as it was.
        """
        rows = np.asarray(block)
        if rows.ndim not in (1, 2) or not np.issubdtype(rows.dtype, np.floating):
            raise ValueError(
                f"block must be floats of shape (samples,) or (channels, samples), not "
                f"{rows.dtype} of shape {rows.shape}"
            )
        if self._shape is not None and self._shape != rows.shape[:-1]:
            raise ValueError(
                f"block has the channels {rows.shape[:-1]}, and those before {self._shape}; "
                "after flush() or reset() there may be other ones"
            )
        if not (np.abs(rows) <= np.finfo(np.float32).max).all():
            raise ValueError("block has samples that are not finite; replace them, and go on")
        first, self._shape = self._shape is None, rows.shape[:-1]
        rows = np.atleast_2d(rows).astype(np.float32)
        if first:
            self._states = [np.zeros(self._size, np.float32) for _ in rows]
            self._last = self._waiting = np.zeros((len(rows), 0), np.float32)
            self._out = np.zeros((len(rows), self.delay), np.float32)
        self._put(rows)
        return self._taken(rows.shape[1])

    def flush(self) -> Samples:
        """The last `delay` samples; the next block begins a recording.

        What lies behind the end is heard as `Stream` has it: the end, mirrored. Zeros in its place
        give the same, but for the last hop.
        """
        if self._shape is None:
            return np.zeros(0, np.float32)
        hop, received, x = self.hop, self._received, self._last
        whole = max(received, hop + 1)
        x = np.pad(x, ((0, 0), (0, whole - received)))
        mode: Any = "reflect" if self._ends == "reflect" else "constant"
        for more in (-whole % hop, hop):
            x = np.pad(x, ((0, 0), (0, more)), mode)
        missing = whole + -whole % hop + hop - received
        self._put(x[:, x.shape[1] - missing :])
        rest = self._taken(self.delay)
        self.reset()
        return rest

    def _put(self, rows: Samples) -> None:
        self._last = np.concatenate([self._last, rows], axis=1)[:, -2 * self.hop :]
        held = np.concatenate([self._waiting, rows], axis=1)
        before, self._received = self._received // self.hop, self._received + rows.shape[1]
        made = [self._out]
        for k in range(held.shape[1] // self.hop):
            hops = held[:, k * self.hop : (k + 1) * self.hop]
            out = self._advanced(hops)
            if before + k > 0:  # what the first one gives lies before the recording
                made.append(out)
        self._waiting = held[:, held.shape[1] // self.hop * self.hop :]
        self._out = np.concatenate(made, axis=1)

    def _advanced(self, hops: Samples) -> Samples:
        """One hop of each channel."""
        outputs = []
        for i, row in enumerate(hops):
            out, self._states[i] = self._step(np.ascontiguousarray(row[None]), self._states[i])
            outputs.append(out[0])
        return np.stack(outputs)

    def _taken(self, samples: int) -> Samples:
        out, self._out = self._out[:, :samples], self._out[:, samples:]
        assert self._shape is not None
        return out.reshape(*self._shape, samples)


def aligned(runner: Runner, blocks: Iterable[Samples]) -> Iterator[Samples]:
    """What comes of blocks (channels, samples), without the delay."""
    late, total = runner.delay, 0
    for block in blocks:
        total += block.shape[1]
        out = runner(block)
        yield out[:, late:]
        late = max(late - out.shape[1], 0)
    if total:
        yield runner.flush()[:, late:]


def floats(content: bytes, kind: str, channels: int) -> Samples:
    """Interleaved samples as (channels, samples) of full scale 1."""
    samples = np.frombuffer(content, KINDS[kind]).reshape(-1, channels).T.astype(np.float32)
    return samples / np.float32(32768) if kind == "s16" else samples


def content(samples: Samples, kind: str) -> bytes:
    """The inverse; what is louder than full scale is cut off."""
    scaled = np.clip(np.round(32768 * samples), -32768, 32767) if kind == "s16" else samples
    return bytes(scaled.T.astype(KINDS[kind]).tobytes())


def piped(runner: Runner, kind: str, channels: int) -> float:
    """Raw samples from stdin to stdout; the seconds that there were."""
    size, total = KINDS[kind].itemsize * channels, 0

    def blocks() -> Iterator[Samples]:
        nonlocal total
        while part := sys.stdin.buffer.read(runner.hop * size):
            if rest := len(part) % size:  # at the end
                print(f"the last {rest} bytes are no whole frame, and left out", file=sys.stderr)
                part = part[:-rest]
            total += len(part) // size
            yield floats(part, kind, channels)

    for out in aligned(runner, blocks()):
        sys.stdout.buffer.write(content(out, kind))
        sys.stdout.buffer.flush()
    return total / runner.sample_rate


def filed(runner: Runner, source: Path, target: Path) -> float:
    """A WAV file to another, which appears whole or not at all; the seconds that there were."""
    with wave.open(str(source), "rb") as reading:
        rate, channels, total = reading.getframerate(), reading.getnchannels(), 0
        if rate != runner.sample_rate or reading.getsampwidth() != 2:
            raise ValueError(
                f"{source} has {rate} Hz and {8 * reading.getsampwidth()} bits; convert it: ffmpeg "
                f"-i {source} -ar {runner.sample_rate} -c:a pcm_s16le other.wav"
            )

        def blocks() -> Iterator[Samples]:
            nonlocal total
            while part := reading.readframes(rate):
                total += len(part) // (2 * channels)
                yield floats(part, "s16", channels)

        part = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with wave.open(str(part), "wb") as writing:
                writing.setparams((channels, 2, rate, 0, "NONE", ""))
                for out in aligned(runner, blocks()):
                    writing.writeframes(content(out, "s16"))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        if missing := reading.getnframes() - total:
            text = f"{source} ends {missing / rate:.2f} s before its header says, and so does"
            print(f"{text} {target}", file=sys.stderr)
        return total / rate


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="exit code: 0; 1 for an error; 130 after an interrupt",
    )
    parser.add_argument("model", help="a step, .onnx")
    parser.add_argument("source", nargs="?", type=Path, help="WAV of 16 bits; else from stdin")
    parser.add_argument("target", nargs="?", type=Path, help="WAV that is written")
    parser.add_argument("--raw", choices=tuple(KINDS), help="samples on stdin and stdout")
    parser.add_argument("--channels", type=int, default=1, help="of --raw (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    options = parser.parse_args(arguments)
    if (options.target is None) != (options.raw is not None) or options.channels < 1:
        parser.error("give a WAV file and where the result goes, or --raw for stdin and stdout")
    try:
        runner, start = Runner.open(options.model, options.threads), time.perf_counter()
        if options.raw:
            seconds = piped(runner, options.raw, options.channels)
        else:
            seconds = filed(runner, options.source, options.target)
            took = time.perf_counter() - start
            print(f"{options.source} -> {options.target}  ({seconds:.1f} s in {took:.1f} s)")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (wave.Error, EOFError) as error:
        why, file = str(error) or "it ends too early", options.source
        remedy = f"convert it: ffmpeg -i {file} other.wav"
        print(f"error: {file} is no whole WAV file of samples ({why}); {remedy}", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"error: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
