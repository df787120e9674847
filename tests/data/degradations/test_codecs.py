from typing import get_args

import numpy as np
import pytest
import soundfile
from sounds import RATE, lag, level, noise, ratio, rng, speechlike, tone

from sgmse.data.degradations import Codec
from sgmse.data.degradations.codecs import CODINGS, Coder, coded

CODERS = get_args(Coder)
#: Ratios of signal to error for speech-like bursts at 16 kHz, in dB, at quality 0 and 1: the
#: ranges are wide, as coders change from version to version.
PLAUSIBLE = {
    "vorbis": ((6, 25), (12, 40)),
    "opus": ((-1, 12), (15, 40)),
    "mp3": ((5, 25), (12, 45)),
    "mulaw": ((15, 45),) * 2,
    "alaw": ((15, 45),) * 2,
    "gsm": ((3, 18),) * 2,
    "ima_adpcm": ((12, 32),) * 2,
    "ms_adpcm": ((10, 30),) * 2,
    "g721": ((12, 35),) * 2,
}


@pytest.mark.parametrize("coder", CODERS)
def test_errors_are_plausible_and_nothing_is_delayed(coder):
    audio = speechlike()
    ratios = []
    for quality, (least, most) in zip((0.0, 1.0), PLAUSIBLE[coder], strict=True):
        out = coded(coder, audio, RATE, quality)
        ratios.append(ratio(audio, out))
        assert least < ratios[-1] < most
        assert lag(audio, out) == 0
    if CODINGS[coder].worst is None:
        assert ratios[0] == ratios[1]
    else:
        assert ratios[1] > ratios[0] + 5


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_other_rates_are_aligned_too(coder, rate):
    audio = speechlike(0.5, rate)
    out = coded(coder, audio, rate, 0.3)
    assert out.shape == audio.shape
    # SILK within Opus and the delay of resamplers are not whole samples of 48 kHz: 0.1 ms
    assert abs(lag(audio, out)) <= 1e-4 * rate
    assert ratio(audio, out) > 2


@pytest.mark.parametrize("coder", [c for c in CODERS if CODINGS[c].worst is not None])
def test_every_quality_is_aligned(coder):
    audio = speechlike(0.5)
    for quality in np.linspace(0, 1, 11):
        out = coded(coder, audio, RATE, float(quality))
        assert lag(audio, out, 2000) == 0


@pytest.mark.parametrize("coder", ["mulaw", "alaw", "gsm", "g721"])
def test_those_of_the_telephone_have_its_band(coder):
    out = coded(coder, 0.3 * (tone(1000) + tone(6000)), RATE, 0.5)[RATE // 4 :]
    assert level(out, 1000) == pytest.approx(0.3, rel=0.1)
    assert level(out, 6000) < 0.003


def test_every_coder_is_asked_of_soundfile():
    assert CODINGS.keys() == set(CODERS)
    assert all(soundfile.check_format(c.format, c.subtype) for c in CODINGS.values())


def test_the_level_in_the_coder_is_drawn_and_the_outer_one_kept():
    # ADPCM and Vorbis follow the level; the steps of 16 bits, which A-law has below -30 dB, do not
    audio = 40 * noise(2000)  # far beyond full scale
    loud, soft = (Codec(1.0, ("alaw",), level=(db, db))(audio, rng(), 8000) for db in (-1.0, -50.0))
    assert ratio(audio, loud) > 30
    assert 5 < ratio(audio, soft) < 25
    assert np.abs(loud).max() == pytest.approx(np.abs(audio).max(), rel=0.05)


def test_all_coders_occur():
    audio = noise(800)
    codec = Codec(1.0, ("mulaw", "alaw", "gsm"), level=(-3.0, -3.0))
    assert len({codec(audio, rng(seed), 8000).tobytes() for seed in range(30)}) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Codec(coders=("aac",)), "coders may hold vorbis, opus, .*, not 'aac'"),
        (lambda: Codec(coders=()), "coders"),
        (lambda: Codec(quality=(0.0, 1.5)), "quality"),
        (lambda: Codec(level=(-70.0, 0.0)), "level"),
        (lambda: Codec(-0.1), "probability"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_coder_that_this_machine_lacks_is_named(monkeypatch):
    monkeypatch.setattr(soundfile, "check_format", lambda _, subtype: subtype != "OPUS")
    assert Codec(coders=("vorbis",)).coders == ("vorbis",)
    with pytest.raises(ValueError, match="has no opus; leave it out of coders"):
        Codec()
