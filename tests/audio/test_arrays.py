"""Recordings in memory: understood as they are held, and given back so."""

import warnings

import numpy as np
import pytest
import torch
from conftest import together

from sgmse.audio import InMemory
from sgmse.errors import ClippingWarning, RecordingWarning, SgmseError

LONG = 65  # more than there are channels


def rows(audio) -> np.ndarray:
    (only,) = InMemory.of(audio).rows
    return only


def again(audio):
    """What comes out where a process changes nothing."""
    held = InMemory.of(audio)
    return held.like(held.rows)


@together(
    shape=[(1,), (5,), (1, 1), (1, 5), (1, LONG), (2, LONG), (64, LONG), (70, 1200)],
    dtype=["f2", "f4", "f8", ">f4", ">f8", "g"],
)
def test_arrays_become_rows(shape, dtype):
    audio = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape).astype(dtype)
    found = rows(audio)
    assert found.dtype == (np.float64 if audio.itemsize > 4 else np.float32)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, np.atleast_2d(audio).astype(found.dtype))
    out = again(audio)
    assert out.dtype == audio.dtype
    np.testing.assert_array_equal(out, audio.astype(found.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_become_rows(dtype):
    audio = torch.linspace(-1, 1, 2 * LONG).reshape(2, LONG).to(dtype).requires_grad_()
    found = rows(audio)
    assert found.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_array_equal(found, audio.detach().double().numpy())
    assert torch.equal(again(audio), audio)


INTEGERS = {
    "int8": ([-128, 0, 127], [-1, 0, 127 / 128]),
    "uint8": ([0, 128, 255], [-1, 0, 127 / 128]),
    "int16": ([-32768, 0, 1, 32767], [-1, 0, 1 / 32768, 32767 / 32768]),
    "int32": ([-(2**31), 0, 1, 2**31 - 1], [-1, 0, 2**-31, 1 - 2**-31]),
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_scaled_by_their_type(dtype):
    """The scales by definition; int16 and uint8 as soundfile and scipy read the same WAV file."""
    given, wanted = INTEGERS[dtype]
    for audio in (
        np.array(given, dtype),
        np.array(given, np.dtype(dtype).newbyteorder(">")),
        torch.tensor(given, dtype=getattr(torch, dtype)),
    ):
        np.testing.assert_array_equal(rows(audio)[0], wanted)
        out = again(audio)
        assert type(out) is type(audio)
        assert out.dtype == audio.dtype
        assert out.tolist() == given


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_rounded_and_clipped(dtype):
    audio = np.array(INTEGERS[dtype][0], dtype)
    low, *_, high = INTEGERS[dtype][0]
    scale = high / 2 - low / 2 + 0.5
    middle = audio.size // 2
    held = InMemory.of(audio)
    result = np.zeros_like(held.rows[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # full scale is no clipping
        result[0, :3] = 1, -1, 0.6 / scale
        assert held.like([result])[:3].tolist() == [high, low, int((low + high + 1) / 2) + 1]
    result[0, middle] = 1.01
    with pytest.warns(
        ClippingWarning, match=f"1 samples were clipped, as {dtype} .*lower the level"
    ):
        assert held.like([result])[middle] == high


@pytest.mark.filterwarnings("ignore:Chunk")  # scipy, of soundfile's peak levels
def test_as_readers_of_files_give_them(tmp_path):
    """The same WAV file by soundfile and by scipy, at each depth: the same samples, either way."""
    import soundfile
    from scipy.io import wavfile

    audio = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    for depth in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        path = tmp_path / f"{depth}.wav"
        soundfile.write(path, audio, 8000, subtype=depth)
        exact = soundfile.read(path, dtype="float64")[0]
        for mapped in (False, True) if depth != "PCM_24" else (False,):  # scipy cannot map these
            read = wavfile.read(path, mmap=mapped)[1]
            assert read.shape == (100, 2)
            np.testing.assert_allclose(rows(read).T, exact, atol=1e-7)
            np.testing.assert_array_equal(again(read), read)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_channels_last_where_it_can_only_be_that(kind):
    audio = kind(np.random.default_rng(0).uniform(-1, 1, (LONG, 64)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for channels in (1, 2, 64):
            own = audio[:, :channels]
            np.testing.assert_array_equal(rows(own), own.T)
            np.testing.assert_array_equal(again(own), own)


@pytest.mark.parametrize("shape", [(2, 2), (8, 2), (2, 8), (64, 64), (5, 1)])
def test_short_recordings_are_channels_first_and_it_is_said(shape):
    audio = np.random.default_rng(0).uniform(-1, 1, shape)
    says = rf"\({shape[0]}, {shape[1]}\) is taken as {shape[0]} channels of .*pass audio\.T"
    with pytest.warns(RecordingWarning, match=says):
        np.testing.assert_array_equal(rows(audio), audio)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # with three axes nothing is left to be said
        np.testing.assert_array_equal(rows(audio[None]), audio)


@pytest.mark.parametrize("shape", [(LONG, LONG), (100, 200), (16000, 100), (1000, 15999)])
def test_long_either_way_is_refused(shape):
    with pytest.raises(ValueError, match=r"could be \(channels, samples\) or .*audio\[None\]"):
        rows(np.zeros(shape))
    assert rows(np.zeros((1, *shape), np.int8)).shape == shape


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_batch_is_a_recording_each(kind):
    audio = kind(np.random.default_rng(0).uniform(-1, 1, (3, 2, LONG)))
    held = InMemory.of(audio)
    assert len(held.rows) == 3
    for found, item in zip(held.rows, audio, strict=True):
        np.testing.assert_array_equal(found, item)
    out = held.like(held.rows)
    assert (type(out), out.shape) == (type(audio), audio.shape)
    np.testing.assert_array_equal(out, audio)


def test_nothing_of_the_callers_is_changed_or_shared():
    for audio in (
        np.linspace(-1, 1, 300, dtype="f4").reshape(3, 100)[::-1, ::-1],
        np.arange(200, dtype=np.int16).reshape(100, 2),
    ):
        audio.flags.writeable = False
        before, out = audio.copy(), again(audio)
        out[:] = 0
        np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("audio", "error", "says"),
    [
        (np.zeros(5, np.int64), TypeError, "int16, int32, int8, uint8, .*not int64; convert it"),
        (np.zeros(5, np.uint16), TypeError, "not uint16"),
        (np.zeros(5, complex), TypeError, "not complex128"),
        (np.zeros(5, bool), TypeError, "not bool"),
        (np.zeros(5, object), TypeError, "not object"),
        (np.array(["a"]), TypeError, "not <U1"),
        (np.zeros(5, "i2,i2"), TypeError, "not "),
        (np.ma.masked_greater(np.zeros(5), 1), TypeError, r"masked array; .*filled"),
        (torch.zeros(5, dtype=torch.int64), TypeError, "not int64"),
        (torch.zeros(5, dtype=torch.complex64), TypeError, "not complex64"),
        (torch.zeros(5, dtype=torch.bool), TypeError, "not bool"),
        (torch.zeros(5, device="meta"), TypeError, "no samples"),
        (torch.zeros(2, 100).to_sparse(), TypeError, "sparse"),
        ([0.0, 0.1], TypeError, "not a list; convert it first, numpy.asarray"),
        ((np.zeros(5), 16000), TypeError, r"not a tuple; .*enhancer\(audio, sample_rate\)"),
        (0.5, TypeError, r"not 0.5; the recording comes first"),
        (np.float32(0.5), TypeError, r"the recording comes first"),
        (None, TypeError, "not None; convert it"),
        ("noisy.wav", TypeError, "not 'noisy.wav'; name a file with enhance_file"),
        (b"RIFF", TypeError, "enhance_file"),
        (np.array(0.5), ValueError, r"\(samples,\), \(channels, samples\), .*, not \(\)"),
        (np.zeros((1, 1, 2, 5)), ValueError, r"not \(1, 1, 2, 5\)"),
        (torch.zeros(1, 1, 2, 5), ValueError, r"not \(1, 1, 2, 5\)"),
        (np.zeros(0), ValueError, r"\(0,\) is empty"),
        (torch.zeros(2, 0), ValueError, r"\(2, 0\) is empty"),
        (np.zeros((4, 16000, 2)), ValueError, r"looks like .*pass audio\.swapaxes\(1, 2\)"),
        (np.array([0, np.nan]), ValueError, "NaN or infinite"),
        (np.array([[0, 0], [0, -np.inf]]), ValueError, "NaN or infinite"),
        (torch.tensor([0, torch.inf]), ValueError, "NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore::sgmse.errors.RecordingWarning")
def test_what_is_no_recording_is_refused(audio, error, says):
    with pytest.raises(error, match=says) as caught:
        InMemory.of(audio)
    assert isinstance(caught.value, SgmseError)
    assert "\n" not in str(caught.value)
