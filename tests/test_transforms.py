import pytest
import torch
from conftest import together
from problems import noise, vectors

from sgmse.transforms import Log, Power, Spectrogram

COMPRESSIONS = [Power(), Power(0.667, 0.065), Power(1.0, 1.0), Power(0.3, 2.0), Log(), Log(1.0)]
PRECISIONS = [
    (torch.float64, 1e-12),
    # float32 keeps 6e-8; the inverse power 1 / 0.3 and the FFT multiply it by about ten
    (torch.float32, 3e-6),
]


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("stft_16k_exponent", Spectrogram(510, 128, Power(0.5, 0.15))),
        ("stft_48k_exponent", Spectrogram(1534, 384, Power(0.667, 0.065))),
        ("stft_16k_log", Spectrogram(510, 128, Log(0.15))),
        ("stft_16k_none", Spectrogram(510, 128, Power(1.0, 1.0))),
    ],
)
def test_parity(parity, name, transform):
    config, v = vectors(parity / f"{name}.npz")
    assert (transform.n_fft, transform.hop) == tuple(
        config["settings"][key] for key in ("n_fft", "hop_length")
    )
    wave, samples = v["wave"], v["wave"].shape[-1]

    def close(ours, theirs):
        assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max()

    spectrogram = transform.forward(wave)
    close(spectrogram, v["fwd"])
    close(transform.compression.expand(spectrogram)[..., :4], v["stft_first4_frames"])
    close(transform.inverse(spectrogram, samples), v["istft_len"])
    close(transform.inverse(spectrogram, samples), wave)
    phase = v["mod_ph"][:, None]
    modified = spectrogram * torch.exp(1j * phase) * (1 + 0.2 * phase.cos())
    close(transform.inverse(modified, samples), v["mod_audio"])


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("n_fft", "hop"), [(510, 128), (64, 32), (66, 7)])
@together(compression=COMPRESSIONS)
def test_round_trip(compression, dtype, tolerance, n_fft, hop):
    transform = Spectrogram(n_fft, hop, compression)
    for samples in (transform.shortest, 1000, 1025):
        audio = 0.2 * noise(2, 3, samples, dtype=dtype)
        spectrogram = transform.forward(audio)
        assert spectrogram.shape == (2, 3, transform.frequencies, transform.frames(samples))
        assert spectrogram.dtype == dtype.to_complex()
        back = transform.inverse(spectrogram, samples)
        assert back.dtype == dtype
        assert back.shape == audio.shape
        assert (back - audio).abs().max() < tolerance


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=repr)
def test_the_gradient_of_a_compression_is_bounded_and_right(compression):
    """What a training sends through a sound and its spectrogram meets magnitudes of nothing."""
    faint = (1e-9 * noise(50, dtype=torch.complex64)).requires_grad_()
    out = compression.compress(faint)
    assert torch.equal(out, compression.compress(faint.detach()))
    out.abs().sum().backward()
    assert float(faint.grad.abs().max()) < 300  # at 1e-3; it would be a million and more
    loud = noise(50, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(compression.compress, (loud,))


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=repr)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_compression_is_inverted_at_any_magnitude(compression, dtype, tolerance):
    magnitude = torch.cat([torch.zeros(1), torch.logspace(-15, 2, 18)]).to(dtype)
    phase = torch.linspace(-3, 3, len(magnitude), dtype=dtype)
    x = torch.polar(magnitude, phase)
    compressed = compression.compress(x)
    assert compressed[0] == 0
    assert compression.expand(compressed)[0] == 0
    torch.testing.assert_close(compression.expand(compressed), x, rtol=5 * tolerance, atol=0)
    assert (compressed.abs().diff() > 0).all()
    torch.testing.assert_close(compressed.angle()[1:], phase[1:], rtol=0, atol=tolerance)


def test_compressions_are_their_formulas():
    x = noise(50)
    torch.testing.assert_close(Power(0.4, 0.3).compress(x).abs(), 0.3 * x.abs() ** 0.4)
    torch.testing.assert_close(Log(0.3).compress(x).abs(), 0.3 * torch.log(1 + x.abs()))


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.complex128, torch.complex64])
def test_gradients_are_finite_at_zeros(compression, dtype):
    """Of silence, and of a network that answers 0."""
    for function in (compression.compress, compression.expand):
        x = torch.zeros(4, dtype=dtype)
        x[3] = 0.5
        x.requires_grad_()
        function(x).abs().sum().backward()
        assert x.grad.isfinite().all()
        assert x.grad[3] != 0


SHARES = (0.02, 0.25, 1 / 3, 0.49, 0.5, 0.51, 0.6, 0.75, 0.9, 0.97, 0.99)


@pytest.mark.parametrize("window", ["hann", "sqrthann"])
@pytest.mark.parametrize("n_fft", [64, 126, 510, 512, 1534])
def test_what_overlaps_at_all_is_inverted(n_fft, window):
    """With the audio covered, and up to the last sample that is heard without."""
    tried = 0
    for hop in {max(1, round(share * n_fft)) for share in SHARES} | {n_fft // 2 + 1, n_fft - 1}:
        try:
            transform = Spectrogram(n_fft, hop, Power(1.0, 1.0), window=window)
        except ValueError:
            # What is refused: single precision would keep two digits of some samples.
            assert hop > 0.98 * n_fft
            continue
        tried += 1
        for samples in (transform.shortest, 3 * n_fft + 1, 4 * hop, 5 * hop - 1):
            samples = max(samples, transform.shortest)
            covering = transform.covering(samples)
            audio = noise(covering, dtype=torch.float64)
            back = transform.inverse(transform.forward(audio), covering)
            # Rounding, divided by the root of the sum of the squared windows, 1e-3 at least.
            assert (back - audio).abs().max() <= 1e-11
            audio = audio[:samples]
            back = transform.inverse(transform.forward(audio), samples)
            heard = (transform.frames(samples) - 1) * hop + n_fft // 2 - 1
            # Behind the last frame is one window alone, down to its foot.
            wrong = (back - audio)[: heard - n_fft // 8]
            assert wrong.abs().max() <= 1e-11
            assert (back[heard + 1 :] == 0).all()
    assert tried >= 7


@pytest.mark.parametrize(("n_fft", "hop"), [(126, 64), (510, 300), (512, 384)])
def test_what_the_published_code_inverts(n_fft, hop):
    transform = Spectrogram(n_fft, hop)
    audio = noise(hop * 63, dtype=torch.float64)
    assert (transform.inverse(transform.forward(audio), len(audio)) - audio).abs().max() < 5e-14


@pytest.mark.parametrize("window", ["hann", "sqrthann"])
def test_the_longest_hop_that_is_named_is_accepted(window):
    for n_fft in (4, 6, 64, 510, 2048):
        with pytest.raises(ValueError, match=f"for n_fft = {n_fft}, not {n_fft}") as e:
            Spectrogram(n_fft, n_fft, window=window)
        longest = int(str(e.value).split("1 and ")[1].split()[0])
        transform = Spectrogram(n_fft, longest, window=window)
        # The claim in the refusal, with the windows themselves.
        squares = torch.nn.functional.pad(
            transform.weights(torch.zeros(1, dtype=torch.float64)) ** 2, (0, 2 * longest - n_fft)
        ).reshape(2, longest)
        assert squares.sum(0).min() >= 0.99e-6


@pytest.mark.parametrize("window", ["hann", "sqrthann"])
def test_a_foot_of_the_last_window_that_is_nothing_is_silent(window):
    """The last sample under a long window, 1023 behind its centre, is divided by 5e-12."""
    transform = Spectrogram(2048, 1024, window=window)
    audio = noise(4096 + 1023, dtype=torch.float32)
    back = transform.inverse(transform.forward(audio), len(audio))
    assert (back - audio)[:4700].abs().max() < 1e-4
    assert back.isfinite().all()


def test_the_ends_are_reflected_or_zero():
    """Frames inside are the same; one whose window begins n_fft / 2 samples before hears zeros."""
    audio = noise(400, dtype=torch.float64)
    zero = Spectrogram(64, 16, Power(1.0, 1.0), ends="zero")
    inner, outer = zero.forward(audio), zero.forward(torch.nn.functional.pad(audio, (64, 64)))
    torch.testing.assert_close(inner, outer[:, 4 : 4 + inner.shape[1]], rtol=0, atol=1e-12)
    reflected = Spectrogram(64, 16, Power(1.0, 1.0)).forward(audio)
    torch.testing.assert_close(reflected[:, 2:-2], inner[:, 2:-2], rtol=0, atol=1e-12)
    assert (reflected - inner)[:, :2].abs().max() > 0.1
    torch.testing.assert_close(zero.inverse(inner, 400), audio, rtol=0, atol=1e-12)


def test_silence_stays_silence():
    transform = Spectrogram()
    spectrogram = transform.forward(torch.zeros(1, 1000))
    assert (spectrogram == 0).all()
    assert (transform.inverse(spectrogram, 1000) == 0).all()


def test_sizes():
    transform = Spectrogram(510, 128)
    assert transform.frequencies == 256
    assert transform.shortest == 256
    assert [transform.frames(n) for n in (256, 383, 384, 16000)] == [3, 3, 4, 126]


def test_inverse_extends_and_cuts():
    transform = Spectrogram(64, 16)
    spectrogram = transform.forward(noise(1000, dtype=torch.float64))
    whole = transform.inverse(spectrogram, 1000)
    assert torch.equal(transform.inverse(spectrogram, 900), whole[:900])


@pytest.mark.parametrize("samples", [0, 1, 255])
def test_too_short(samples):
    with pytest.raises(ValueError, match=rf"{samples} samples .* pad .* at least 256 samples"):
        Spectrogram().forward(torch.zeros(1, samples))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_fft": 511}, "n_fft must be an even number of at least 4, not 511"),
        ({"n_fft": 2}, "not 2"),
        (
            {"n_fft": 510, "hop": 509},
            r"hop must lie between 1 and 501 for n_fft = 510, not 509; .* squared windows sum to",
        ),
        ({"n_fft": 64, "hop": 64, "window": "sqrthann"}, "between 1 and 63 for n_fft = 64, not 64"),
        ({"n_fft": 64, "hop": 200}, "between 1 and 62 for n_fft = 64, not 200"),
        ({"window": "hamming"}, "window must be 'hann' or 'sqrthann', not 'hamming'"),
        ({"hop": 0}, "not 0"),
        ({"ends": "wrap"}, "ends must be 'reflect' or 'zero', not 'wrap'"),
    ],
)
def test_refused_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Spectrogram(**arguments)


@pytest.mark.parametrize(
    ("compression", "arguments"),
    [
        (Power, (0.0, 0.15)),
        (Power, (1.1, 0.15)),
        (Power, (0.5, 0.0)),
        (Power, (0.5, float("inf"))),
        (Power, (float("nan"), 0.15)),
        (Log, (0.0,)),
        (Log, (float("nan"),)),
    ],
)
def test_refused_constants(compression, arguments):
    with pytest.raises(ValueError, match="must"):
        compression(*arguments)


def test_audio_is_left_alone():
    audio = noise(1000, dtype=torch.float32)
    copy = audio.clone()
    spectrogram = Spectrogram().forward(audio)
    kept = spectrogram.clone()
    Spectrogram().inverse(spectrogram, 1000)
    assert torch.equal(audio, copy)
    assert torch.equal(spectrogram, kept)


@pytest.mark.parametrize(("n_fft", "hop"), [(510, 255), (510, 200), (512, 384), (512, 128), (6, 3)])
def test_what_covers_the_audio_keeps_errors_small(n_fft, hop):
    """An error of a frame is not divided by the foot of its window."""
    transform = Spectrogram(n_fft, hop, Power(exponent=1.0, factor=1.0))
    window = torch.hann_window(n_fft)
    for samples in range(2 * n_fft, 2 * n_fft + hop + 1):
        padded = transform.covering(samples)
        assert samples <= padded < samples + hop
        last = hop * (transform.frames(padded) - 1)  # the centre of the last frame
        distance = max(samples - 1 - last, 0)
        assert window[n_fft // 2 - distance] >= 0.25 - 1e-6
    # Where frames overlap by more, the last window is large enough as it is.
    if 3 * hop <= n_fft:
        assert all(transform.covering(n) == n for n in range(2 * n_fft, 3 * n_fft))
