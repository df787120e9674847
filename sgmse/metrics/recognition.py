"""What a small recogniser, inside a package, hears of phones and words; it needs no network.

    phone similarity = 1 - (substitutions + deletions + insertions) / phones of the reference

by the shortest edit from the phones heard in the clean recording to those heard in the estimate:
1 where all are heard alike, below 0 if much is inserted; higher is better. (Levenshtein phone
similarity of Pirklbauer et al. 2023*, with another recogniser.) Phones are found in a loop with
a model of their order, so that it works, less well, in languages other than English. It tells what
lost or made up speech; as the recogniser is weak, low values do not rank: a gate more than a score.

`sphinx_words` is a recogniser for `word_error_rate`, of read American English, with 134,000 words.

Both by the package `pocketsphinx`, with its English models inside (BSD). Its decoder adapts to what
it heard before; here it starts anew with each recording, so that a score depends on no other.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse._extras import imported
from sgmse.errors import MetricError
from sgmse.metrics._signals import Signal, checked, compared
from sgmse.metrics.words import edits, word_error_rate

RATE = 16000
SHORTEST = 0.25  # seconds
PEAK = 0.9  # of full scale, to which recordings are brought: the recogniser hears 16 bits
SEARCH = {"lw": 2.0, "beam": 1e-20, "pbeam": 1e-20}  # as its documentation has it for phones*


def phone_similarity(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Phone similarity of signals (samples,) at 16 kHz, 1/4 s or longer. Raises `MetricError`."""
    s, s_hat = compared(reference, estimate, sample_rate, rates=(RATE,), seconds=SHORTEST)
    spoken = phones(s)
    if not spoken:
        raise MetricError("no phone is heard in the clean recording; leave this pair out")
    return 1 - edits(spoken, phones(s_hat)) / len(spoken)


def phones(signal: Signal) -> list[str]:
    """The phones (ARPABET) in a signal (samples,) at 16 kHz, without silences and noises."""
    heard = _heard(_phone_decoder(), signal)
    return [s.word for s in heard.seg() or () if s.word.isalpha() and s.word != "SIL"]


def sphinx_words(samples: NDArray[np.float32], sample_rate: int) -> str:
    """What is said in samples (samples,) at 16 kHz, in English: a `Transcriber`.

    Raises `MetricError` for another rate.
    """
    (signal,) = checked({"recording": samples}, sample_rate, rates=(RATE,), seconds=SHORTEST)
    hypothesis = _heard(_word_decoder(), signal).hyp()
    return str(hypothesis.hypstr) if hypothesis else ""


def sphinx_word_errors(reference: str | ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """`word_error_rate` by `sphinx_words`, of recordings in English. Raises `MetricError`."""
    return word_error_rate(reference, estimate, sample_rate, sphinx_words)


def _heard(decoder: Any, signal: Signal) -> Any:
    """The decoder after it heard a signal, and nothing before it."""
    scaled = signal * (PEAK / np.abs(signal).max())
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw((scaled * 32767).astype("<i2").tobytes(), False, True)
    decoder.end_utt()
    return decoder


@cache
def _phone_decoder() -> Any:
    package = imported("pocketsphinx", "this metric", "words")
    model = package.get_model_path("en-us/en-us-phone.lm.bin")
    return package.Decoder(lm=None, allphone=model, cmn="batch", loglevel="FATAL", **SEARCH)


@cache
def _word_decoder() -> Any:
    package = imported("pocketsphinx", "this metric", "words")
    return package.Decoder(cmn="batch", loglevel="FATAL")
