from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, read, write
from sgmse.bench._network_peers import GTCRN
from sgmse.bench._peers import DeepFilterNet3, NoiseReduce, Peer, RNNoise, WebRTC
from sgmse.bench.suite import SYSTEMS
from sgmse.metrics import estoi, pesq_wb, si_sdr
from sgmse.scoring.pair import place

KINDS = ("clean", "noisy")
PEERS = [system for system in SYSTEMS if issubclass(system, Peer)]


@dataclass(frozen=True)
class Late(Peer):
    """Does nothing, and that late."""

    package = "numpy"
    module = "numpy"
    rate = 48000
    delay = 500

    def process(self, numpy, samples, rate):
        assert rate == 48000
        return numpy.concatenate([numpy.zeros(500), samples])[: len(samples)]


@dataclass(frozen=True)
class Absent(Late):
    package = "no-such-package"
    module = "no_such_module"


def voice(samples: int, sample_rate: int) -> np.ndarray:
    """Something like a voice: a low tone with overtones, in syllables."""
    t = np.arange(samples) / sample_rate
    tone = sum(np.sin(2 * np.pi * 140 * k * t + k) / k for k in range(1, 12))
    return (0.1 * tone * np.clip(np.sin(2 * np.pi * 3 * t), 0, None)).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 999, 20001])
def test_rates_and_delays_leave_nothing_behind(sample_rate, samples):
    audio = voice(samples, sample_rate)
    out = Late().enhance(audio, sample_rate)
    assert out.shape == audio.shape
    assert out.dtype == np.float32
    middle = slice(100, -100)  # the ends ring
    np.testing.assert_allclose(out[middle], audio[middle], atol=3e-3)


def test_a_package_that_is_not_there():
    Late().require()
    with pytest.raises(ImportError, match=r"'no-such-package': pip install 'sgmse-toolkit\[peers"):
        Absent().require()


def test_the_version_of_the_package_is_a_condition_and_told():
    assert Late().conditions()["numpy"] == np.__version__
    assert Late().about(Late().conditions()) == ("Late()", f"numpy {np.__version__}", "")
    about = NoiseReduce(share=0.5).about({"noisereduce": "3.0"})
    assert about == ("NoiseReduce(stationary=False, share=0.5)", "noisereduce 3.0", "MIT")


@pytest.mark.parametrize("arguments", [{"level": 0}, {"level": 5}])
def test_levels(arguments):
    with pytest.raises(ValueError, match="level must be 1 to 4"):
        WebRTC(**arguments)
    with pytest.raises(ValueError, match="share must be 0 to 1"):
        NoiseReduce(share=1.5)


@pytest.fixture(params=PEERS, ids=lambda peer: peer.__name__)
def peer(request) -> Peer:
    """Each peer whose package is installed."""
    return installed(request.param())


def installed(system: Peer) -> Peer:
    try:
        system.require()
    except ImportError as error:
        pytest.skip(str(error))
    return system


def test_importing_a_peer_changes_nothing_else(peer):
    before = np.geterr()
    peer.load_signal()
    assert np.geterr() == before


@pytest.mark.slow
def test_every_length_comes_back(peer, tmp_path: Path):
    fresh = peer.load_signal()
    for samples in (1600, 4801, 8000):
        out = fresh()(voice(samples, 16000), 16000, 0)
        assert out.shape == (samples,)
        assert np.isfinite(out).all()
    assert np.isfinite(fresh()(np.zeros(8000, np.float32), 16000, 0)).all()
    write(tmp_path / "noisy.wav", np.stack(2 * [voice(4410, 44100)]), Info(44100, 2))
    peer.load()(tmp_path / "noisy.wav", tmp_path / "clean.wav", 0)
    assert read(tmp_path / "clean.wav")[0].shape == (2, 4410)


@pytest.mark.slow
def test_a_recording_does_not_remember_the_one_before(peer):
    fresh = peer.load_signal()
    first, _, again = (fresh()(voice(n, 16000), 16000, 0) for n in (8000, 4800, 8000))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", ["010", pytest.param("060", marks=pytest.mark.slow)])
def test_nothing_is_late(peer, shared: Path, name):
    clean, noisy = (read(shared / f"corpus/test/{kind}/{name}.flac") for kind in KINDS)
    out = peer.load_signal()()(noisy[0][0], noisy[1].sample_rate, 0)
    found = place(clean[0], out[None], 4000)
    assert found is not None
    assert abs(found.delay) <= 1  # WebRTC turns the phase of low frequencies


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (NoiseReduce(), (1.204, 0.646, 2.85)),
        (RNNoise(), (1.564, 0.711, 8.53)),
        (GTCRN(), (1.843, 0.738, 11.98)),
        (DeepFilterNet3(), (1.908, 0.748, 11.31)),
    ],
)
def test_the_known_scores_of_peers(system, expected, shared: Path):
    """PESQ, ESTOI and SI-SDR on the test set of the corpus, measured before this was written."""
    fresh = installed(system).load_signal()
    scores = []
    for path in sorted((shared / "corpus/test/clean").glob("*.flac")):
        clean, about = read(path)
        noisy, _ = read(shared / "corpus/test/noisy" / path.name)
        signals = clean[0], fresh()(noisy[0], about.sample_rate, 0)
        scores.append([f(*signals, about.sample_rate) for f in (pesq_wb, estoi, si_sdr)])
    difference = np.abs(np.mean(scores, axis=0) - expected)
    # DeepFilterNet3 with a fresh state for each recording has 0.145 dB less than was measured then.
    # GTCRN was measured by other code, whose ends of a recording are not known: 0.23 dB apart.
    decibels = {DeepFilterNet3(): 0.15, GTCRN(): 0.25}.get(system, 0.1)
    assert (difference <= (0.02, 0.005, decibels)).all(), difference
