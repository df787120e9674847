"""Live on a busy machine, beside others: python benchmarks/late_blocks.py [SECONDS] [--busy 8]

Blocks of sound come as a microphone gives them, one after another in real time, and go through the
model `live`, DeepFilterNet3, RNNoise, Hush and GTCRN, each with one thread and in turn; first on a
machine that does nothing else, then beside processes that never rest. Writes
benchmarks/results/late-blocks.md and .json: latency of the algorithm, processor time over the time
of the sound, time a block, and the share of blocks that are not there 10 ms and 30 ms after they
were heard.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray
from writing import arguments, paragraph, write

import sgmse
from sgmse.bench import GTCRN, DeepFilterNet3, Hush, NetworkPeer, RNNoise
from sgmse.errors import MissingPackageError
from sgmse.live import Stream
from sgmse.report.text import markdown_table

ALLOWED = (0.010, 0.030)  # seconds
FIRST = 50  # blocks that are not counted
Samples = NDArray[np.float32]
Work = Callable[[Samples], object]
PAGE = """# Blocks that are late

`{command}`: {seconds:g} s of sound each, one thread. {about}

Latency is that of the algorithm, with the shortest blocks that the system takes; a block is late
when its work is done later than allowed after its last sample was heard. The machine has {cores}
cores; "busy" is {busy} processes that never rest, at equal priority.

{table}
"""


@dataclass(frozen=True)
class System:
    """Something that takes blocks.

    Args:
        rate: in Hz.
        samples: of a block.
        latency: in seconds.
        work: makes what takes a block, with a new state.
    """

    rate: int
    samples: int
    latency: float
    work: Callable[[], Work]


@dataclass(frozen=True)
class Row:
    """What was measured.

    Args:
        load: processor time over the time of the sound.
        typical, worst: the median time of a block, and that which one of a hundred exceeds.
        late: share of the blocks, for each of `ALLOWED`.
    """

    load: float
    typical: float
    worst: float
    late: tuple[float, ...]


def ours(model: str, rate: int) -> System:
    """A causal model."""
    enhancer = sgmse.load(model)
    stream = Stream(enhancer, rate)

    def work() -> Work:
        return Stream(enhancer, rate)

    return System(rate, rate // 100, stream.latency, work)


def of_frames(peer: NetworkPeer) -> System:
    """A peer of frames at 16 kHz."""
    loaded = peer.loaded()
    latency = (peer.hop + peer.delay) / 16000
    return System(16000, peer.hop, latency, lambda: peer.stream(loaded))


def deep_filter() -> System:
    """DeepFilterNet3, as its C interface has it."""
    peer = DeepFilterNet3()
    loaded = peer.loaded()
    return System(48000, 480, 480 / 48000 + peer.delay / 48000, lambda: peer.prepare(loaded))


def rnnoise() -> System:
    """RNNoise."""
    peer = RNNoise()
    module = peer.loaded()

    def work() -> Work:
        state = module.create()  # it lives as long as the process

        def take(block: Samples) -> object:
            return module.process_mono_frame(state, (32767 * block).astype(np.int16))

        return take

    return System(48000, 480, 480 / 48000 + peer.delay / 48000, work)


def systems(model: str) -> Iterator[tuple[str, Callable[[], System]]]:
    """All, by name."""
    yield "live, 16 kHz", lambda: ours(model, 16000)
    yield "live, 48 kHz", lambda: ours(model, 48000)
    yield "DeepFilterNet3", deep_filter
    yield "RNNoise", rnnoise
    yield "Hush", lambda: of_frames(Hush())
    yield "GTCRN", lambda: of_frames(GTCRN())


def measure(system: System, seconds: float) -> Row:
    """Blocks in real time through a system."""
    count = FIRST + round(seconds * system.rate / system.samples)
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.standard_normal((count, system.samples)).astype(np.float32)
    work, length = system.work(), system.samples / system.rate
    for block in noise[:20]:  # what is done once
        work(block)
    times, after = [], []
    gc.collect()
    start = time.perf_counter()
    for k, block in enumerate(noise):
        heard = start + (k + 1) * length
        if (wait := heard - time.perf_counter()) > 0:
            time.sleep(wait)
        begun, processor = time.perf_counter(), time.thread_time()
        work(block)
        done = time.perf_counter()
        if k >= FIRST:
            times.append((done - begun, time.thread_time() - processor))
            after.append(done - heard)
    took = np.array(times)
    return Row(
        load=float(took[:, 1].mean() / length),
        typical=median(took[:, 0]),
        worst=float(np.quantile(took[:, 0], 0.99)),
        late=tuple(float((np.array(after) > allowed).mean()) for allowed in ALLOWED),
    )


@contextmanager
def company(processes: int) -> Iterator[None]:
    """So many processes that never rest."""
    spin = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(spin) for _ in range(processes)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def rows(found: Mapping[str, tuple[System, Sequence[Row]]]) -> list[list[str]]:
    """A line for each system."""
    lines = []
    for name, (system, (idle, busy)) in found.items():
        cells = [f"{1000 * system.latency:.1f} ms", f"{idle.load:.3f}"]
        cells += [f"{1000 * idle.typical:.2f} / {1000 * idle.worst:.2f} ms"]
        for row in (idle, busy):
            cells += [f"{100 * share:.1f} %" for share in row.late]
        lines.append([name, *cells])
    return lines


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=20.0, help="each (default: 20)")
    parser.add_argument("--busy", type=int, default=8, help="processes (default: 8)")
    parser.add_argument("--model", default="live", help="in its place (default: live)")
    options: argparse.Namespace = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, tuple[System, Sequence[Row]]] = {}
    for name, make in systems(options.model):
        try:
            system = make()
        except MissingPackageError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        idle = measure(system, options.seconds)
        with company(options.busy):
            busy = measure(system, options.seconds)
        found[name] = system, (idle, busy)
        print(name, idle, busy, sep="\n  ", file=sys.stderr)
    heads = ["system", "latency", "load", "median / 99 % of a block"]
    heads += [f"{kind}, late by {1000 * a:.0f} ms" for kind in ("idle", "busy") for a in ALLOWED]
    page = PAGE.format(
        command=f"python benchmarks/late_blocks.py {options.seconds:g}",
        seconds=options.seconds,
        about=paragraph(__doc__, 1).partition(" Writes ")[0],
        cores=os.cpu_count(),
        busy=options.busy,
        table=markdown_table(heads, rows(found)),
    )
    plain = {
        name: {"latency": system.latency, "idle": asdict(idle), "busy": asdict(busy)}
        for name, (system, (idle, busy)) in found.items()
    }
    write(options.output, "late-blocks", page, plain)


if __name__ == "__main__":
    main()
