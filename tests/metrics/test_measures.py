"""The list of measures: names, what each needs, and which share their work."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.errors import MetricError
from sgmse.metrics import DNSMOS, Composite, composite, dnsmos, pesq_nb, si_sir
from sgmse.metrics.measures import MEASURES, Channels, Measure, select, word_errors

RATE = 16000


@pytest.fixture(scope="module")
def signals() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clean, enhanced and noisy: (16000,) each."""
    s, n, a = 0.1 * np.random.default_rng(0).standard_normal((3, RATE))
    return s, s + 0.1 * n + 0.01 * a, s + n


def heard(samples, rate):
    return f"{len(samples)} at {rate}"


def test_the_list():
    names = [measure.name for measure in MEASURES]
    assert names == [
        *("PESQ-WB", "PESQ-NB", "STOI", "ESTOI", "SI-SDR", "SI-SIR", "SI-SAR", "SegSNR"),
        *("LSD", "LSD-8k"),
        *("CSIG", "CBAK", "COVL"),
        *("DNSMOS-SIG", "DNSMOS-BAK", "DNSMOS-OVRL", "DNSMOS-P808", "DistillMOS"),
        *("PESQ-WB-C2", "PESQ-NB-C2", "ViSQOL", "PhoneSim", "WER-Sphinx", "SpeakerSim"),
    ]
    worse_if_higher = [m.name for m in MEASURES if not m.higher_is_better]
    assert worse_if_higher == ["LSD", "LSD-8k", "WER-Sphinx"]


def test_the_noise_of_each_measure_is_what_was_measured():
    """By benchmarks/score_noise.py; 0, not known, of what was not installed there."""
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "score-noise.json"
    measured = {name: own["noise"] for name, own in json.loads(path.read_text()).items()}
    assert {m.name: m.noise for m in MEASURES if m.noise} == measured
    assert {m.name for m in MEASURES if not m.noise} == {"DistillMOS"}


def test_cutting_the_start_moves_a_score_by_less_than_its_noise():
    (clean, rate), (noisy, _) = (
        soundfile.read(Path(__file__).parents[1] / "data" / name)
        for name in ("clean.wav", "noisy.wav")
    )
    for measure in select(["si-sdr", "segsnr", "lsd"]):
        whole = measure(clean, noisy, rate)
        moves = [
            abs(measure(clean[cut:], noisy[cut:], rate) - whole)
            for cut in range(rate // 500, rate // 50, rate // 200)
        ]
        assert 0 < np.median(moves) <= measure.noise, measure.name


@pytest.mark.parametrize("measure", [*MEASURES, word_errors(heard)], ids=lambda m: m.name)
def test_measures_can_be_sent_to_worker_processes(measure):
    again = pickle.loads(pickle.dumps(measure))
    assert again.name == measure.name
    assert again.digits == measure.digits
    assert again.higher_is_better == measure.higher_is_better


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)
def test_stated_rates_are_those_of_the_metric(measure, signals):
    """A metric refuses the rates that its measure does not list, and no other."""
    s, s_hat, noisy = (
        signal[:10] for signal in signals
    )  # too short for all but the check of rates
    for rate in (8000, 16000, 44100, 48000):
        refused = False
        try:
            measure(s, s_hat, rate, noisy)
        except ImportError:
            pytest.skip("not installed")
        except MetricError as error:
            refused = "the sample rate must be" in str(error)
        assert refused == (bool(measure.rates) and rate not in measure.rates)


def test_chosen():
    assert [m.name for m in select(["stoi", " SegSNR", "STOI"])] == ["STOI", "SegSNR"]
    assert select(["pesq"]) == select(["PESQ-WB"])
    with pytest.raises(
        ValueError, match=r"'pesk' \(did you mean 'pesq'\?\); known are pesq-wb, .*lsd"
    ):
        select(["stoi", "pesk"])
    with pytest.raises(ValueError, match="name at least one measure of pesq-wb"):
        select([])


def test_each_gets_what_it_needs(signals):
    s, s_hat, noisy = signals
    (sir,) = select(["si-sir"])
    assert sir(s, s_hat, RATE, noisy) == si_sir(s, s_hat, RATE, noisy - s)
    with pytest.raises(MetricError, match=r"SI-SIR needs the noisy recording \(--noisy\)"):
        sir(s, s_hat, RATE)
    with pytest.raises(MetricError, match="noisy recording has 15999 samples, the clean one 16000"):
        sir(s, s_hat, RATE, noisy[:-1])
    with pytest.raises(MetricError, match="SI-SIR needs the clean recording"):
        sir(None, s_hat, RATE, noisy)
    alone = Measure("peak", lambda x, rate: float(np.abs(x).max()), needs_reference=False)
    assert alone(None, s_hat, RATE) == np.abs(s_hat).max()


def test_parts_of_what_is_computed_once(signals):
    def opinions(reference, estimate, rate):
        return Composite(1.5, 2.5, 3.5)

    measures = [Measure(part.upper(), opinions, part=part) for part in Composite._fields]
    assert [measure(*signals[:2], RATE) for measure in measures] == [1.5, 2.5, 3.5]
    results = measures[0].results(Channels(signals[1], signals[0]), RATE)
    assert [measure.value_in(results) for measure in measures] == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("names", "function", "fields"),
    [
        (["csig", "cbak", "covl"], composite, Composite),
        (["dnsmos-sig", "dnsmos-bak", "dnsmos-ovrl", "dnsmos-p808"], dnsmos, DNSMOS),
    ],
)
def test_shared_functions_and_their_parts(names, function, fields):
    measures = select(names)
    assert all(measure.function is function for measure in measures)
    assert tuple(measure.part for measure in measures) == fields._fields


def test_word_errors(signals):
    s, s_hat, _ = signals
    measure = word_errors(heard)
    assert measure(s, s_hat, RATE) == 0
    assert measure(s, s_hat, RATE, text="16000 by 8000") == pytest.approx(2 / 3)
    assert measure(None, s_hat, RATE, text="16000 at 8000") == pytest.approx(1 / 3)
    with pytest.raises(MetricError, match="WER needs the clean recording"):
        measure(None, s_hat, RATE)


def test_require_names_the_remedy():
    measure = Measure("X", pesq_nb, extra="mos", packages=("json", "no_such_package"))
    install = r"'no_such_package': pip install 'sgmse-toolkit\[mos\]'"
    with pytest.raises(ImportError, match=install):
        measure.require()
    Measure("Y", pesq_nb, packages=("json",)).require()
