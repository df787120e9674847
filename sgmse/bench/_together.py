"""Recordings that a model enhances at once: their spectrograms of equal size in one batch.

A GPU is hardly busy with one recording of some seconds. Each recording has a thread, which does all
but the network; where they meet, what has the same size and draws the same noise becomes a batch.
Nothing is padded for it, so that a result is that of the recording alone but for rounding.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from sgmse.enhancer import Draws, Enhancer
from sgmse.solvers import Callback, Step

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class Request:
    """Spectrograms (batch, 1, frequency, frame) of so many samples that are to be enhanced."""

    key: tuple[Any, ...]
    observation: Tensor
    samples: int
    randn: Draws
    report: Callback
    done: threading.Event = field(default_factory=threading.Event)
    result: Tensor | None = None
    error: Exception | None = None


class Meeting:
    """Where the threads of recordings wait until each of them has something for the network.

    `most` is how many items a batch may have; it is halved where the memory does not suffice.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.batches: list[int] = []  # how many items each had
        self._present = 0
        self._waiting: list[Request] = []
        self._lock = threading.Lock()

    @contextmanager
    def taking_part(self, run: Callable[[list[Request]], None]) -> Iterator[None]:
        """A thread of a recording is within; the last that the others wait for lets them go on."""
        try:
            yield
        finally:
            with self._lock:
                self._present -= 1
                ready = self._ready()
            run(ready)

    def expect(self, count: int) -> None:
        """So many recordings begin."""
        with self._lock:
            self._present += count

    def __call__(self, request: Request, run: Callable[[list[Request]], None]) -> Tensor:
        """The result of a request, once it was in a batch. Raises what the batch raised."""
        with self._lock:
            self._waiting.append(request)
            ready = self._ready()
        run(ready)
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.result is not None
        return request.result

    def _ready(self) -> list[Request]:
        """All that wait, if there is something of every recording."""
        if len(self._waiting) < self._present:
            return []
        ready, self._waiting = self._waiting, []
        return ready


@dataclass(frozen=True, eq=False, repr=False)
class Together(Enhancer):
    """An enhancer whose recordings meet, each in a thread of its own."""

    meeting: Meeting = field(default_factory=lambda: Meeting(32))

    @classmethod
    def like(cls, enhancer: Enhancer, most: int) -> Self:
        """An enhancer that takes batches of so many items."""
        own = {f.name: getattr(enhancer, f.name) for f in fields(enhancer)}
        return cls(**own, meeting=Meeting(most))

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """work(item) of each item, which calls this enhancer, all at once."""
        if not items:
            return []
        self.meeting.expect(len(items))

        def one(item: T) -> R:
            with self.meeting.taking_part(self._run):
                return work(item)

        with ThreadPoolExecutor(len(items), "recording") as pool:
            return list(pool.map(one, items))

    @override
    @torch.inference_mode()  # which holds for a thread
    def _drawn(self, audio: Tensor, delay: int, randn: Draws, report: Callback) -> Tensor:
        delayed = torch.nn.functional.pad(audio, (delay, 0))
        observation = self.spectrogram(delayed)
        samples = delayed.shape[1]
        key = (observation.shape[2:], samples, randn.seed, randn.segment, randn.place)
        request = Request(key, observation, samples, randn, report)
        return self.meeting(request, self._run)[:, delay:]

    @torch.inference_mode()
    def _run(self, requests: list[Request]) -> None:
        """Batches of what has the same key."""
        groups: dict[tuple[Any, ...], list[Request]] = {}
        for request in requests:
            groups.setdefault(request.key, []).append(request)
        for together in groups.values():
            group = together
            while group:
                most = self.meeting.most  # fewer after a batch that was too large
                self._batch(group[:most])
                group = group[most:]

    def _batch(self, group: list[Request]) -> None:
        """In halves if the memory does not suffice."""
        try:
            self._solve(group)
        except torch.OutOfMemoryError as error:
            half = len(group) // 2
            if not half:
                group[0].error = error
            else:
                self.meeting.most = half
                self._batch(group[:half])
                self._batch(group[half:])
        except Exception as error:
            for request in group:
                request.error = error
        for request in group:
            request.done.set()

    def _solve(self, group: list[Request]) -> None:
        observations = torch.cat([request.observation for request in group])

        def report(step: Step) -> None:
            for request in group:
                request.report(step)

        audio = self.sampled(observations, group[0].samples, group[0].randn, report)
        parts = torch.split(audio, [len(request.observation) for request in group])
        self.meeting.batches.append(len(observations))
        for request, part in zip(group, parts, strict=True):
            request.result = part
