"""Many connections at once to `sgmse serve`: python benchmarks/serve.py [--connections 50]

Starts the server in a process of its own, of one thread, with a small random model, so that it is
the server that is busy. Each connection sends noise of its own for SECONDS, a message of random
length (10 to 30 ms) when it is due, and checks what it gets to the bit against `Stream.whole` of
what it has sent: a block that is lost, or is another one's, is found. Writes
benchmarks/results/serve.md and .json: messages, how late answers are, and the memory of the server.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from writing import arguments, write

from sgmse.audio import Pcm
from sgmse.checkpoints import Checkpoint, save
from sgmse.enhancer import load
from sgmse.estimates import Data
from sgmse.front import FrontEnd
from sgmse.live import Stream
from sgmse.model import ScoreModel
from sgmse.networks import SlimUNet
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform
from sgmse.transforms import Spectrogram

PCM = Pcm("s16", 16000)
LATENCY = 5.0  # seconds: long pieces cost little
BLOCK = (160, 480)  # samples of a message
AHEAD = 50  # messages that may wait for their answers
EVERY = 5.0  # seconds from one look at the memory to the next
PAGE = """# Connections

`python benchmarks/serve.py --connections {connections} --seconds {seconds:g}`: `sgmse serve` with
one thread and a small random model at a latency of {latency:g} s, on a machine that was doing other
work. Each connection sends noise of its own in messages of 10 to 30 ms, and compares what it gets
with the offline result of what it sent.

| | |
| --- | ---: |
| connections | {connections} |
| time | {elapsed:.0f} s |
| sound, all together | {sound:.0f} s |
| messages | {messages} |
| messages without an answer of their length | {lost} |
| connections whose sound is not, to the bit, that of its stream | {mixed} |
| answers after: median | {median:.1f} ms |
| answers after: 99 % | {late:.0f} ms |
| answers after: longest | {longest:.0f} ms |
| processor time of the server | {spent:.0f} s |
| memory of the server after {early:.0f} s | {memory_early:.0f} MB |
| memory of the server at the end | {memory_late:.0f} MB |
"""


@dataclass
class Talk:
    """What a connection has sent and got."""

    number: int
    sent: list[int] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    delay: int = 0
    frames: int = 0

    def content(self) -> bytes:
        """All of its sound."""
        return noise(self.number, sum(self.sent) // PCM.frame)


def noise(number: int, samples: int) -> bytes:
    """That of a connection; its level changes."""
    z: NDArray[np.float32] = np.random.default_rng(number).standard_normal(samples, np.float32)
    swell = 0.2 + np.sin(np.arange(samples) / (3000 + 100 * number)) ** 2
    return PCM.content(0.05 * swell[None] * z[None])


def small_model(folder: Path) -> Path:
    """A network whose output depends on all that it hears."""
    torch.manual_seed(0)
    net = SlimUNet(channels=(2, 2), blocks=(1, 1), dual_paths=0, embedding=4)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
        for parameter in net.head.parameters():
            parameter.mul_(0.3)  # the result is quieter than the input, as results are
        net.head.bias[1] += 0.5
    model = ScoreModel(net, SBVE(), Data())
    front = FrontEnd(Spectrogram(510, 255), PCM.sample_rate)
    sampler = Sampler(Exponential(start=0.0), Uniform(steps=1, end=0.0))
    made = Checkpoint(model, front, sampler, licence="CC0-1.0", samplers=(SamplerRange(),))
    return save(made, folder / "small")


async def talk(
    address: str, number: int, whole: bytes, seconds: float, ready: asyncio.Barrier
) -> Talk:
    """One connection, in real time."""
    done, rng = Talk(number), np.random.default_rng([number, 1])
    waiting = asyncio.Semaphore(AHEAD)
    times: list[float] = []
    async with connect(address, compression=None, ping_interval=None, open_timeout=60) as socket:
        start = {"type": "start", "rate": PCM.sample_rate, "latency": LATENCY}
        await socket.send(json.dumps(start))
        done.delay = json.loads(await socket.recv())["delay"]

        await ready.wait()
        await asyncio.sleep(rng.random() * LATENCY / 2)  # or their pieces would be due together

        async def send() -> None:
            begin, place = perf_counter(), 0
            while perf_counter() - begin < seconds:
                size = int(rng.integers(*BLOCK)) * PCM.frame
                due = begin + (place + size) / PCM.frame / PCM.sample_rate
                await asyncio.sleep(max(due - perf_counter(), 0))
                await waiting.acquire()
                times.append(perf_counter())
                done.sent.append(size)
                await socket.send(whole[place : place + size])
                place += size
            await socket.send('{"type": "flush"}')

        sending = asyncio.ensure_future(send())
        while not isinstance(message := await socket.recv(), str):
            done.got.append(message)
            if len(done.got) <= len(times):
                done.seconds.append(perf_counter() - times[len(done.got) - 1])
            waiting.release()
        await sending
        done.frames = json.loads(message)["frames"]
    return done


def memory(process: int) -> float:
    """What a process holds, in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def processor_time(process: int) -> float:
    """Seconds that a process has used, of all of its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watched(process: int, held: list[float]) -> None:
    """Look at the memory until that is cancelled."""
    while True:
        held.append(memory(process))
        await asyncio.sleep(EVERY)


async def all_of_them(
    address: str, process: int, count: int, seconds: float
) -> tuple[list[Talk], list[float]]:
    """The connections, and what the server held meanwhile."""
    ready = asyncio.Barrier(count)
    wholes = [noise(number, round((seconds + 1) * PCM.sample_rate)) for number in range(count)]
    held: list[float] = []
    watching = asyncio.ensure_future(watched(process, held))
    talks = await asyncio.gather(
        *(talk(address, n, wholes[n], seconds, ready) for n in range(count))
    )
    watching.cancel()
    return talks, held


def main() -> None:
    """Connect all, and write the page."""
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    count, seconds = options.connections, options.seconds
    with tempfile.TemporaryDirectory() as name:
        model = small_model(Path(name))
        command = [sys.executable, "-m", "sgmse", "serve", "--port", "0", "--threads", "1"]
        command += ["--connections", str(count), "--model", str(model)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                address = server.stderr.readline().split()[3]
                start, before = perf_counter(), processor_time(server.pid)
                talks, held = asyncio.run(all_of_them(address, server.pid, count, seconds))
                elapsed = perf_counter() - start
                spent = processor_time(server.pid) - before
            finally:
                server.terminate()
        stream = Stream(load(model), PCM.sample_rate, LATENCY)
        torch.set_num_threads(1)
        lost = mixed = 0
        for talk in talks:
            content = talk.content()
            sizes = [len(got) for got in talk.got]
            lost += sum(a != b for a, b in zip(sizes, talk.sent, strict=False))
            lost += abs(len(sizes) - len(talk.sent) - 1) + (talk.frames * PCM.frame != len(content))
            made = b"".join(talk.got)[talk.delay * PCM.frame :]
            mixed += made != PCM.content(stream.whole(PCM.samples(content)))
    waits = 1000 * np.concatenate([talk.seconds for talk in talks])
    early = len(held) // 4
    numbers = {
        "connections": count,
        "seconds": seconds,
        "latency": LATENCY,
        "elapsed": elapsed,
        "spent": spent,
        "sound": sum(talk.frames for talk in talks) / PCM.sample_rate,
        "messages": sum(len(talk.sent) for talk in talks),
        "lost": lost,
        "mixed": mixed,
        "median": float(np.median(waits)),
        "late": float(np.quantile(waits, 0.99)),
        "longest": float(waits.max()),
        "early": early * EVERY,
        "memory_early": held[early],
        "memory_late": held[-1],
    }
    write(options.output, "serve", PAGE.format(**numbers), numbers)
    sys.exit(1 if lost or mixed else 0)


if __name__ == "__main__":
    main()
