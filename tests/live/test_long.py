"""What a stream holds does not depend on how long it has run: a day of it, in short."""

import sys
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings, strategies as st

from sgmse.enhancer import Enhancer
from sgmse.live import Stream
from sgmse.transforms import Spectrogram

RATE = tiny.RATE


def held(thing: object, seen: set[int]) -> int:
    """Bytes of all arrays and tensors that can be reached, with what their views keep alive."""
    if id(thing) in seen or isinstance(thing, Enhancer | str | type):
        return 0
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        fresh = storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        return storage.nbytes() if fresh else 0
    if isinstance(thing, np.ndarray):
        return thing.nbytes if thing.base is None else held(thing.base, seen)
    if isinstance(thing, bytes | bytearray):
        return len(thing)
    if isinstance(thing, dict):
        return sum(held(value, seen) for value in thing.values())
    if isinstance(thing, list | tuple | deque | set):
        return sum(held(value, seen) for value in thing) + 8 * len(thing)
    return held(getattr(thing, "__dict__", {}), seen)


def blocks(seconds: float, rate: int, seed: int):
    """Blocks of changing lengths, with pauses and jumps of the level, for that long."""
    rng, left = np.random.default_rng(seed), round(seconds * rate)
    while left > 0:
        size = min(int(rng.integers(1, rate // 8)), left)
        level = float(rng.choice([0.0, 0.001, 0.05, 0.3]))
        yield (level * rng.standard_normal(size)).astype(np.float32)
        left -= size


def resident() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rate", "seconds"),
    [("windows", 8000, 3600), ("windows", 44100, 900), ("frames", RATE, 12)],
)
def test_long_streams_hold_no_more_than_short_ones(kind, rate, seconds):
    """The last three quarters may hold no more than the first one did."""
    if kind == "frames":
        stream = Stream(tiny.causal(), rate)
    else:
        front = replace(tiny.FRONT, transform=Spectrogram(510, 255))
        stream = Stream(replace(tiny.enhancer(tiny.Identity()), front=front), rate, 2.0)
    done, most, memory = 0, [0, 0], [0.0, 0.0]
    for block in blocks(seconds, rate, 0):
        assert stream(block).shape == block.shape
        stream(block[:1])  # after which nothing of a long block is held
        done += len(block)
        late = done > seconds * rate / 4
        most[late] = max(most[late], held(stream, set()))
        if sys.platform == "linux":
            memory[late] = max(memory[late], resident())
    assert 0 < most[1] <= 1.05 * most[0]  # how the blocks fall makes the rest
    assert memory[1] <= memory[0] + 20
    assert stream.flush().shape == (stream.delay,)


def test_what_is_held_is_seen():
    """By the measure of the test above, which would miss what it cannot reach."""
    stream = Stream(tiny.enhancer(), RATE, 0.2)
    stream(np.zeros(3000, np.float32))
    before = held(stream, set())
    assert before > 8 * 3000
    stream._windows._heard = np.zeros((1, 100000))[:, :10]
    assert held(stream, set()) > before + 700000


@pytest.fixture(scope="module")
def causal():
    """A stream, a sound, and what it makes of that."""
    stream = Stream(tiny.causal(), 24000)
    audio = np.concatenate([*blocks(0.015, 24000, 1)])
    return stream, audio, stream.whole(audio)


@settings(max_examples=4)
@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=6).filter(any))
def test_a_causal_model_gives_the_same_in_any_blocks(causal, sizes):
    stream, audio, whole = causal
    out, place, number = [], 0, 0
    while place < len(audio):
        out.append(stream(audio[place : place + sizes[number % len(sizes)]]))
        place, number = place + len(out[-1]), number + 1
    made = np.concatenate([*out, stream.flush()])
    np.testing.assert_array_equal(made[stream.delay :], whole)
    assert not np.any(made[: stream.delay])
