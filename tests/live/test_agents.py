"""LiveKit and Pipecat get as many samples as they give, a latency later, in their own classes."""

import asyncio

import numpy as np
import pytest
import tiny

from sgmse.errors import ArgumentError, MissingPackageError, ResultWarning
from sgmse.live import Stream, agents
from sgmse.live.agents import Samples, livekit_processor, pipecat_filter

RATE, LATENCY = 16000, 0.2


@pytest.fixture(scope="module")
def enhancer():
    return tiny.enhancer()


def sound(samples: int, channels: int = 1) -> np.ndarray:
    z = np.random.default_rng(samples).standard_normal((samples, channels))
    return (1500 * z).astype("<i2")


def expected(enhancer, audio: np.ndarray, rate: int = RATE) -> np.ndarray:
    """(samples, channels), with the silence at its start."""
    return Stream(enhancer, rate, LATENCY)(audio.T).T


@pytest.mark.slow
def test_samples_pass_through_a_stream_of_their_form(enhancer):
    samples = Samples(enhancer, LATENCY)
    for rate, channels in ((RATE, 1), (48000, 2), (RATE, 2)):
        audio = sound(rate // 2, channels)
        size = rate // 50
        made = [
            samples.through(audio[start : start + size].tobytes(), rate, channels)
            for start in range(0, len(audio), size)
        ]
        got = np.frombuffer(b"".join(made), "<i2").reshape(-1, channels)
        np.testing.assert_array_equal(got, expected(enhancer, audio, rate))
    with pytest.raises(ArgumentError, match="3 bytes are no whole samples of 1 channels"):
        samples.through(b"abc", RATE, 1)


def test_what_completes_a_piece_is_known(enhancer):
    samples = Samples(enhancer, LATENCY)
    due = Stream(enhancer, RATE, LATENCY).due
    assert samples.light(bytes(2 * due - 2), RATE, 1)
    assert not samples.light(bytes(2 * due), RATE, 1)


def test_a_result_that_is_unusable_is_said_and_passed_by():
    class Wrong(tiny.Identity):
        def forward(self, x, y, t):
            return y * float("nan")

    samples = Samples(tiny.enhancer(Wrong()), LATENCY)
    content = sound(9000).tobytes()
    with pytest.warns(ResultWarning, match="passed on as it came: .*not finite"):
        assert samples.through(content, RATE, 1) == content


def test_without_the_packages_their_extras_are_named(enhancer, monkeypatch):
    def without(module: str, what: str, extra: str):
        raise MissingPackageError(f"{what} needs {extra}")

    monkeypatch.setattr(agents, "imported", without)
    with pytest.raises(MissingPackageError, match="LiveKit needs livekit"):
        livekit_processor(enhancer)
    with pytest.raises(MissingPackageError, match="Pipecat needs pipecat"):
        pipecat_filter(enhancer)


def test_a_processor_of_livekit(enhancer):
    rtc = pytest.importorskip("livekit.rtc", reason="needs the extra livekit")
    processor = livekit_processor(enhancer, LATENCY)
    assert isinstance(processor, rtc.FrameProcessor)
    assert processor.enabled
    audio = sound(8000, 2)
    for _ in range(2):
        made = []
        for start in range(0, len(audio), 160):
            part = audio[start : start + 160]
            frame = rtc.AudioFrame(part.tobytes(), RATE, 2, len(part))
            frame.userdata["number"] = start
            out = processor._process(frame)
            assert isinstance(out, rtc.AudioFrame)
            form = (out.sample_rate, out.num_channels, out.samples_per_channel)
            assert form == (RATE, 2, 160)
            assert out.userdata == {"number": start}
            assert bytes(memoryview(frame.data).cast("B")) == part.tobytes()
            made.append(np.array(out.data).reshape(-1, 2))
        np.testing.assert_array_equal(np.concatenate(made), expected(enhancer, audio))
        processor.enabled = False
        processor.enabled = True  # begins anew
    processor._close()


def test_a_filter_of_pipecat(enhancer):
    pytest.importorskip("pipecat.audio.filters.base_audio_filter", reason="needs the extra pipecat")
    from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
    from pipecat.frames.frames import FilterEnableFrame
    from pipecat.transports.base_transport import TransportParams

    made = pipecat_filter(enhancer, LATENCY)
    assert isinstance(made, BaseAudioFilter)
    assert TransportParams(audio_in_enabled=True, audio_in_filter=made).audio_in_filter is made
    audio = sound(8000)
    content = audio.tobytes()

    async def use() -> bytes:
        await made.start(RATE)
        parts = [await made.filter(content[at : at + 640]) for at in range(0, len(content), 640)]
        await made.process_frame(FilterEnableFrame(enable=False))
        assert await made.filter(b"ab") == b"ab"
        await made.process_frame(FilterEnableFrame(enable=True))
        assert await made.filter(content[:640]) == bytes(640)  # anew, so silent
        await made.stop()
        with pytest.raises(ArgumentError, match="latency must be at least"):
            await pipecat_filter(enhancer, 0.001).start(RATE)
        return b"".join(parts)

    got = np.frombuffer(asyncio.run(use()), "<i2")[:, None]
    np.testing.assert_array_equal(got, expected(enhancer, audio))
