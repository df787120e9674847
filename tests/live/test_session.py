"""However a connection cuts its bytes, they are one recording: without any network."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
from hypothesis import given, settings, strategies as st

from sgmse.audio import Pcm
from sgmse.live import Stream
from sgmse.live._session import TURN, Refused, Session

RATE, LATENCY, LENGTH = 16000, 0.1, 3000
FORMS = [("s16", 1), ("s24", 2), ("f64", 1), ("u8", 2)]


def content_of(pcm: Pcm) -> bytes:
    z = np.random.default_rng(pcm.frame).standard_normal((pcm.channels, LENGTH))
    return pcm.content(0.05 * z)


@pytest.fixture(scope="module")
def streamed():
    """A session that is used again and again, and for each form what it makes of a sound."""
    enhancer = tiny.enhancer()
    whole = {}
    for coding, channels in FORMS:
        pcm = Pcm(coding, RATE, channels)
        content = content_of(pcm)
        whole[coding] = Stream(enhancer, RATE, LATENCY).whole(pcm.samples(content))
        whole[coding] = pcm.content(whole[coding])
    return Session(enhancer), whole


@pytest.mark.slow
@settings(max_examples=8)
@given(
    form=st.sampled_from(FORMS),
    sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=6).filter(any),
    dropped=st.integers(0, 2000),
)
def test_any_messages_give_the_same(streamed, form, sizes, dropped):
    session, whole = streamed
    coding, channels = form
    pcm = Pcm(coding, RATE, channels)
    start = {"type": "start", "rate": RATE, "coding": coding, "channels": channels}
    (said,) = session.told(json.dumps(start | {"latency": LATENCY}))
    session.heard(bytes(dropped))  # of a recording that is not wanted
    session.told('{"type": "reset"}')
    content, made, place, number = content_of(pcm), b"", 0, 0
    while place < len(content):
        message = content[place : place + sizes[number % len(sizes)]]
        before = place // pcm.frame
        place, number = place + len(message), number + 1
        got = b"".join(session.heard(part) for part in session.turns(message))
        assert len(got) == (place // pcm.frame - before) * pcm.frame
        made += got
    rest, end = session.told('{"type": "flush"}')
    told = {"type": "flushed", "frames": LENGTH, "bytes_left_out": 0, "clipped": False}
    assert json.loads(end) == told
    silence = json.loads(said)["delay"] * pcm.frame
    assert (made + rest)[silence:] == whole[coding]


def test_a_recording_that_was_clipped_is_said_to_be(streamed):
    session, _ = streamed
    pcm = Pcm("s16", RATE, 1)
    session.told(json.dumps({"type": "start", "rate": RATE, "latency": LATENCY}))
    wave = 0.5 * np.sin(0.05 * np.arange(RATE))[None]
    for audio, clipped in ((wave.clip(-0.3, 0.3), True), (wave, False)):
        session.heard(pcm.content(audio))
        assert json.loads(session.told('{"type": "flush"}')[1])["clipped"] is clipped
    mending = Session(replace(session.enhancer, mends=("clipping",)))
    mending.told(json.dumps({"type": "start", "rate": RATE, "latency": LATENCY}))
    mending.heard(pcm.content(wave.clip(-0.3, 0.3)))
    assert json.loads(mending.told('{"type": "flush"}')[1])["clipped"] is False


def test_turns_are_short_and_work_is_told(streamed):
    session, _ = streamed
    session.told(json.dumps({"type": "start", "rate": RATE, "latency": LATENCY}))
    content = bytes(2 * RATE + 1)
    turns = [*session.turns(content)]
    assert b"".join(turns) == content
    assert max(map(len, turns)) == 2 * round(TURN * RATE)
    assert session.light(bytes(100))
    assert not session.light(content)
    with pytest.raises(Refused, match="say what comes"):
        next(Session(session.enhancer).turns(content))
