"""One pair of files: rates, lengths, delays, channels, and what cannot be scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmse import audio
from sgmse.audio import Info
from sgmse.data.pairs import Pair
from sgmse.errors import MetricError
from sgmse.metrics import pesq_nb, si_sdr, si_sir
from sgmse.metrics.measures import Measure, select
from sgmse.scoring import pair as module
from sgmse.scoring.pair import PairScores, place, score_pair

RATE = 16000
SDR = select(["si-sdr"])
RNG = np.random.default_rng(0)


def low_noise() -> np.ndarray:
    """Noise below 3 kHz with soft ends: resampling leaves it as it is."""
    low_pass = np.sinc(np.arange(-128, 129) * 0.3) * np.hanning(257)
    noise = np.convolve(RNG.standard_normal(RATE), low_pass, "same")
    return (0.03 * noise * np.hanning(RATE)).astype(np.float32)


SPEECH, NOISE = low_noise(), 0.3 * low_noise()


@pytest.fixture
def pair(tmp_path):
    """Makes a pair of signals (samples,) or (channels, samples) and their rates."""

    def make(clean, enhanced, noisy=None, rates=(RATE, RATE, RATE)) -> Pair:
        paths = []
        for role, signal, rate in zip("cen", (clean, enhanced, noisy), rates, strict=True):
            path = None if signal is None else tmp_path / f"{role}.wav"
            if path is not None:
                rows = np.atleast_2d(signal)
                audio.write(path, rows, Info(rate, len(rows), subtype="FLOAT"))
            paths.append(path)
        return Pair("x", *paths)

    return make


def at(signal: np.ndarray, rate: int) -> np.ndarray:
    return audio.resample(torch.from_numpy(signal), RATE, rate).numpy()


def test_a_plain_pair(pair):
    found = score_pair(pair(SPEECH, SPEECH + NOISE), SDR)
    assert found.values == {"SI-SDR": si_sdr(SPEECH, SPEECH + NOISE, RATE)}
    assert (found.problems, found.seconds, found.sample_rate) == ({}, 1.0, RATE)
    assert (found.excess, found.delay) == (0, 0)


def test_rates(pair):
    noisy = SPEECH + NOISE
    pesq = select(["pesq-nb", "si-sdr"])
    files = pair(at(SPEECH, 48000), at(noisy, 24000), rates=(48000, 24000, 0))
    found = score_pair(files, pesq).values
    assert found["PESQ-NB"] == pytest.approx(pesq_nb(SPEECH, noisy, RATE), abs=0.02)
    assert found["SI-SDR"] == pytest.approx(si_sdr(SPEECH, noisy, RATE), abs=1e-3)
    low = score_pair(pair(at(SPEECH, 8000), at(noisy, 8000), rates=(8000, 8000, 0)), pesq).values
    assert low["PESQ-NB"] == pesq_nb(at(SPEECH, 8000), at(noisy, 8000), 8000)  # as it is


def test_a_rate_that_is_too_low_is_a_problem(pair):
    files = pair(at(SPEECH, 8000), at(SPEECH + NOISE, 8000), rates=(8000, 8000, 0))
    found = score_pair(files, select(["pesq-wb"]))
    assert found.values == {"PESQ-WB": None}
    words = "the recording has 8000 Hz, PESQ-WB needs 16000 Hz or more"
    assert found.problems == {"PESQ-WB": words}


def test_each_file_is_read_once_and_resampled_once_for_a_rate(pair, monkeypatch):
    calls = []

    def counted(name):
        function = getattr(audio, name)

        def call(*arguments):
            calls.append((name, *arguments[1:]))
            return function(*arguments)

        monkeypatch.setattr(audio, name, call)

    files = pair(at(SPEECH, 48000), at(SPEECH + NOISE, 48000), rates=(48000, 48000, 0))
    counted("read")
    counted("resample")
    measures = select(["pesq-wb", "pesq-nb", "stoi", "estoi", "si-sdr"])
    assert score_pair(files, measures).problems == {}
    assert sorted(calls) == 2 * [("read",)] + 2 * [("resample", 48000, 16000)]


# Lengths and delays


@pytest.mark.parametrize("extra", [-1000, 1000])
def test_a_small_difference_in_length_is_trimmed_and_told(pair, extra):
    noisy = np.pad(SPEECH + NOISE, (0, 1000))[: RATE + extra]
    shorter = min(RATE, RATE + extra)
    found = score_pair(pair(SPEECH, noisy), SDR)
    assert found.excess == extra
    assert found.values["SI-SDR"] == si_sdr(SPEECH[:shorter], noisy[:shorter], RATE)


@pytest.mark.parametrize(("extra", "word"), [(-2000, "shorter"), (2000, "longer")])
def test_a_large_one_is_a_problem(pair, extra, word):
    noisy = np.pad(SPEECH + NOISE, (0, 2000))[: RATE + extra]
    found = score_pair(pair(SPEECH, noisy), SDR)
    assert found.values == {"SI-SDR": None}
    assert found.problems == {
        "SI-SDR": f"the enhanced file is 0.125 s {word} than the clean one, more than the "
        "tolerance of 0.1 s"
    }
    assert found.excess == extra
    assert score_pair(pair(SPEECH, noisy), SDR, tolerance=0.125).problems == {}


@pytest.mark.parametrize("delay", [-320, 1, 320])
def test_a_delay_is_told_and_compensated_only_if_asked(pair, delay):
    noisy = SPEECH + NOISE
    late = np.pad(noisy, (max(delay, 0), 0))[max(-delay, 0) :]
    late = np.pad(late, (0, max(-delay, 0)))[:RATE]
    plain, aligned = (score_pair(pair(SPEECH, late), SDR, align=a) for a in (False, True))
    assert plain.delay == aligned.delay == delay
    assert plain.values["SI-SDR"] == si_sdr(SPEECH, late, RATE)
    size = RATE - abs(delay)
    start = max(-delay, 0)
    expected = si_sdr(SPEECH[start:][:size], noisy[start:][:size], RATE)
    assert aligned.values["SI-SDR"] == pytest.approx(expected, abs=1e-9)


def test_a_delay_that_made_the_file_longer(pair):
    late = np.pad(SPEECH + NOISE, (4000, 0))  # beyond the tolerance
    assert "0.250 s longer" in score_pair(pair(SPEECH, late), SDR).problems["SI-SDR"]
    found = score_pair(pair(SPEECH, late), SDR, align=True)
    assert found.values["SI-SDR"] == si_sdr(SPEECH, SPEECH + NOISE, RATE)


def test_delays_at_another_rate(pair):
    late = np.pad(SPEECH + NOISE, (480, 0))[:RATE]
    files = pair(at(SPEECH, 48000), late, rates=(48000, RATE, 0))
    measures = select(["pesq-nb"])
    found = score_pair(files, measures, align=True)
    assert found.delay == pytest.approx(3 * 480, abs=1)
    expected = pesq_nb(SPEECH[:-480], (SPEECH + NOISE)[:-480], RATE)
    assert found.values["PESQ-NB"] == pytest.approx(expected, abs=0.02)


def test_delays_and_polarities():
    x, late = SPEECH[None], np.pad(SPEECH, (7, 0))[None]
    assert place(x, late, 100) == (7, False)
    assert place(late, x, 100) == (-7, False)
    assert place(x, -late, 100) == (7, True)
    assert place(x, np.roll(x, 500, axis=1), 500) == (500, False)
    two = np.concatenate([x, -x])  # whose sum is silent
    assert place(two, np.pad(two, ((0, 0), (7, 0))), 100) == (7, False)
    assert place(x, 0 * x, 100) is None
    assert place(x, NOISE[None], 100) is None


def test_the_other_polarity_is_told(pair):
    noisy = SPEECH + NOISE
    turned, plain = (score_pair(pair(SPEECH, sign * noisy), SDR) for sign in (-1, 1))
    assert (turned.inverted, plain.inverted) == (True, False)
    assert turned.values["SI-SDR"] == pytest.approx(plain.values["SI-SDR"])  # which hears nothing


def test_a_delay_is_looked_for_at_the_start_of_a_long_file(pair, monkeypatch):
    late = np.concatenate([np.pad(SPEECH, (9, 0)), SPEECH])
    files = pair(np.concatenate([SPEECH, SPEECH[::-1]]), late)
    assert score_pair(files, SDR).delay == 9
    monkeypatch.setattr(module, "HEARD", 0.002)
    assert score_pair(files, SDR).delay != 9


# Channels


def test_channels_are_scored_by_themselves_and_averaged(pair):
    clean, noisy = np.stack([SPEECH, SPEECH[::-1]]), np.stack([SPEECH, SPEECH[::-1]])
    noisy = noisy + np.stack([NOISE, 3 * NOISE])
    scores = [si_sdr(c, n, RATE) for c, n in zip(clean, noisy, strict=True)]
    assert score_pair(pair(clean, noisy), SDR).values["SI-SDR"] == pytest.approx(np.mean(scores))


def test_one_channel_that_cannot_be_scored_spoils_the_file(pair):
    clean = np.stack([SPEECH, SPEECH])
    found = score_pair(pair(clean, np.stack([SPEECH + NOISE, 0 * SPEECH])), SDR)
    assert found.values == {"SI-SDR": None}
    assert found.problems["SI-SDR"].startswith("channel 1: estimate is silent")


def test_different_numbers_of_channels_are_a_problem(pair):
    found = score_pair(pair(SPEECH, np.stack([SPEECH] * 2)), SDR)
    assert found.problems == {
        "SI-SDR": "the enhanced file has 2 channels, the clean one 1; give both the same"
    }


# What cannot be scored


def test_equal_files_have_no_ratio_that_can_be_averaged(pair):
    found = score_pair(pair(SPEECH, SPEECH), select(["si-sdr", "pesq-wb"]))
    assert found.values["SI-SDR"] is None
    assert found.values["PESQ-WB"] == pytest.approx(4.644, abs=1e-3)
    assert list(found.problems.values()) == [
        "the score is inf, the files are equal; no mean can hold that"
    ]


def test_silence_and_files_that_cannot_be_read(pair, tmp_path):
    silent = score_pair(pair(SPEECH, 0 * SPEECH), SDR)
    assert silent.problems["SI-SDR"].startswith("estimate is silent")
    assert (silent.seconds, silent.delay) == (1.0, None)
    files = pair(SPEECH, SPEECH)
    absent = score_pair(replace(files, enhanced=tmp_path / "absent.wav"), SDR)
    assert "absent.wav: no such file" in absent.problems["SI-SDR"]
    assert (absent.seconds, absent.sample_rate) == (1.0, RATE)
    Path(files.clean).write_bytes(b"RIFF")
    broken = score_pair(files, SDR)
    assert "damaged" in broken.problems["SI-SDR"]
    assert broken.seconds == 1.0  # of the enhanced file
    nothing = score_pair(replace(files, enhanced=files.clean), SDR)
    assert (nothing.seconds, nothing.sample_rate) == (0.0, 0)


def test_the_noisy_file(pair):
    measures = select(["si-sir", "si-sdr"])
    estimate, noisy = SPEECH + 0.5 * NOISE, SPEECH + NOISE
    found = score_pair(pair(SPEECH, estimate, noisy), measures)
    noise = (noisy - SPEECH).astype(np.float32)
    assert found.values["SI-SIR"] == pytest.approx(si_sir(SPEECH, estimate, RATE, noise))
    without = score_pair(pair(SPEECH, estimate), measures)
    assert without.problems == {"SI-SIR": "there is no noisy file"}
    assert without.values["SI-SDR"] is not None
    short = score_pair(pair(SPEECH, estimate, noisy[:8000]), measures)
    assert list(short.problems) == ["SI-SIR"]
    assert "the noisy file is 0.500 s shorter" in short.problems["SI-SIR"]


def level(estimate, sample_rate):
    return float(np.abs(estimate).max())


def test_measures_without_a_reference_hear_the_whole_file(pair):
    measure = Measure("Level", level, needs_reference=False)
    estimate = np.concatenate([SPEECH, np.float32([0.5] * RATE)])  # far too long
    files = pair(SPEECH, estimate)
    assert score_pair(files, [measure], align=True).values == {"Level": 0.5}
    assert score_pair(replace(files, clean=None), [measure]).values == {"Level": 0.5}
    assert score_pair(replace(files, clean=None), [measure]).seconds == 2.0


def failing(reference, estimate, sample_rate):
    raise ZeroDivisionError("division\nby zero")


def missing(reference, estimate, sample_rate):
    raise ImportError("needs a package")


def test_a_measure_that_fails(pair):
    files = pair(SPEECH, SPEECH + NOISE)
    found = score_pair(files, [Measure("Bad", failing), *SDR])
    assert found.problems == {"Bad": "ZeroDivisionError: division by zero"}
    assert found.values["SI-SDR"] is not None
    with pytest.raises(ImportError, match="needs a package"):  # it is so for all files
        score_pair(files, [Measure("Missing", missing)])


def test_measures_that_share_a_function_share_its_run(pair):
    runs = []

    def both(reference, estimate, sample_rate):
        runs.append(1)
        return PairScores(seconds=1.5, excess=3)

    measures = [Measure("A", both, part="seconds"), Measure("B", both, part="excess")]
    assert score_pair(pair(SPEECH, SPEECH), measures).values == {"A": 1.5, "B": 3.0}
    assert len(runs) == 1


def test_metric_errors_are_one_line(pair):
    def bad(reference, estimate, sample_rate):
        raise MetricError("two\nlines")

    assert score_pair(pair(SPEECH, SPEECH), [Measure("Bad", bad)]).problems == {"Bad": "two lines"}
