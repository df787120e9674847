"""What is clipped is told from what is not, however it comes."""

import numpy as np
import pytest
import soundfile

from sgmse.checkpoints import load_model
from sgmse.postprocessing import Remarks
from sgmse.postprocessing._clipped import Tops

RATE = 16000


def lines(x: np.ndarray, mends: tuple[str, ...] = (), size: int = 997) -> list[str]:
    """What is said of the recording alone, in blocks of that size."""
    remarks = Remarks(RATE, RATE, upper_band=True, mends=mends)
    blocks = [x[:, start : start + size] for start in range(0, x.shape[1], size)]
    heard = list(remarks.listening(blocks))
    assert all(a is b for a, b in zip(heard, blocks, strict=True))
    return remarks.lines()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    x, _ = soundfile.read("tests/data/noisy.wav", dtype="float32", always_2d=True)
    return np.ascontiguousarray(x.T / np.abs(x).max())


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.5, 0.2])
@pytest.mark.parametrize("size", [1, 997, 10**6])
def test_a_clipped_recording_is_said_with_the_model_that_mends_it(speech, limit, size):
    x = 0.3 * speech[:, :20000].clip(-limit, limit)
    (line,) = lines(x, size=size)
    assert line.startswith("this is clipped, and stays so; --model restore")
    assert lines(x, load_model("restore").mends, size) == []
    both = np.concatenate([speech[:, :20000], x])  # a channel is enough
    assert len(lines(both, size=size)) == 1


def test_what_is_not_clipped_is_not_said_to_be(speech):
    for x in (speech, np.round(100 * speech) / 128, np.zeros((1, 0))):
        assert not lines(x)
    for x in (np.zeros((1, 1000)), np.full((1, 1000), 0.1)):
        assert not lines(x)


def test_few_steps_of_quantisation_are_no_limit():
    near_silence = np.random.default_rng(0).integers(-1, 2, (1, 20000)) / 32768
    tops = Tops()
    tops.add(near_silence)
    assert not tops.clipped
    tops = Tops()
    tops.add(10000 * near_silence)  # as loud, that would be one
    assert tops.clipped


def test_what_comes_before_the_largest_value_is_no_top(speech):
    tops = Tops()
    tops.add(0.5 * speech.clip(-0.2, 0.2))
    assert tops.clipped
    tops.add(speech)
    assert not tops.clipped
