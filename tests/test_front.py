"""The front end: sizes that a network divides, and nothing heard of them."""

import pytest
import torch
from conftest import together

from sgmse.errors import SgmseError
from sgmse.front import FrontEnd
from sgmse.transforms import Log, Spectrogram

FRONT = FrontEnd(Spectrogram(62, 16), 16000)


@pytest.mark.parametrize(("multiple", "divisor"), [(1, 1), (4, 1), (1, 8), (4, 6)])
@together(padding=["zero", "reflect"], ends=["zero", "reflect"], samples=[1, 40, 700, 704])
def test_there_and_back(samples, multiple, divisor, ends, padding):
    torch.manual_seed(0)
    audio = torch.randn(3, samples, dtype=torch.float64)
    front = FrontEnd(Spectrogram(62, 31, Log(), ends), 8000, padding, multiple)
    x = front.forward(audio, divisor)
    assert x.shape[:3] == (3, 1, 32)
    assert x.shape[3] % multiple == x.shape[3] % divisor == 0
    torch.testing.assert_close(front.inverse(x, samples), audio)


def test_added_frames_are_heard_in_the_published_tail_alone():
    torch.manual_seed(0)
    audio = torch.randn(1, 700, dtype=torch.float64)
    own = FRONT.transform.frames(700)
    for tail, heard in (("cover", False), ("published", True)):
        front = FrontEnd(FRONT.transform, 16000, multiple=64, tail=tail)
        x = front.forward(audio)
        assert x.shape[-1] == 64
        x[..., own:] += 1.0
        difference = (front.inverse(x, 700) - audio).abs()
        assert difference[:, : 700 - 62 // 2 - 16].max() < 1e-9
        assert (difference.max() > 1e-3) == heard


def test_delays_divide_a_hop():
    assert FRONT.delays(1) == [0]
    assert FRONT.delays(3) == [0, 5, 11]
    for shifts in (0, 17):
        with pytest.raises(ValueError, match=f"from 1 to 16, the samples from .* not {shifts}"):
            FRONT.delays(shifts)


def test_a_network_of_other_frequencies_is_refused_with_what_would_do():
    assert FRONT.refusal(32) is None
    assert FRONT.refusal(24) == (
        "62 gives 32 frequencies, and the network needs a multiple of 24; 46 would do"
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample_rate": 0}, "sample_rate must be a whole number of Hz, not 0"),
        ({"sample_rate": 16000.0}, "sample_rate must be a whole number, not 16000.0"),
        ({"multiple": 0}, "multiple must be a whole number of frames, not 0"),
        ({"padding": "wrap"}, "padding must be 'zero' or 'reflect', not 'wrap'"),
        ({"tail": "none"}, "tail must be 'cover' or 'published', not 'none'"),
        ({"level": "loud"}, "level must be 'kept' or 'published', not 'loud'"),
    ],
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(SgmseError, match=says):
        FrontEnd(**{"transform": FRONT.transform, "sample_rate": 16000} | settings)
