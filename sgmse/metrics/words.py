"""Word error rate of what a recogniser hears in the estimate, lower is better, 0 for no error.

    WER = (substitutions + deletions + insertions) / words of the reference

by the shortest edit (Levenshtein) from the reference's words to the estimate's; more than 1 if much
is inserted. The recogniser is the caller's: any function (samples, sample_rate) -> text. None comes
with this package.

Both texts are normalised alike: Unicode compatibility form (NFKC), lower case, typographic
apostrophes as ', every character that is no letter, mark, digit or an apostrophe inside a word as a
space. Numbers and abbreviations are not spelled out ("Mr" differs from "mister"); a recogniser that
needs more normalises what it returns, and its reference.

The mean over files weighs each alike; the rate of a whole set divides all errors by all words.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgmse.errors import MetricError
from sgmse.metrics._signals import checked, compared

Transcriber = Callable[[NDArray[np.float32], int], str]  # (samples,), rate in Hz -> text


def word_error_rate(
    reference: str | ArrayLike, estimate: ArrayLike, sample_rate: int, transcribe: Transcriber
) -> float:
    """Errors per word of the reference in what `transcribe` hears in the estimate.

    Args:
        reference: the text that was spoken; or the clean recording (samples,), whose text
            `transcribe` then gives.
        estimate: (samples,).
        sample_rate: of the signals in Hz.
        transcribe: (samples, sample_rate) -> text; samples are float32.

    Raises:
        MetricError: signals that cannot be compared, a reference without a word.
    """
    if isinstance(reference, str):
        (s_hat,) = checked({"estimate": estimate}, sample_rate)
        text = reference
    else:
        s, s_hat = compared(reference, estimate, sample_rate)
        text = transcribe(s.astype(np.float32), sample_rate)
    spoken = words(text)
    if not spoken:
        raise MetricError(f"the reference has no words ({text!r}); leave this pair out")
    heard = words(transcribe(s_hat.astype(np.float32), sample_rate))
    return edits(spoken, heard) / len(spoken)


def words(text: str) -> list[str]:
    """The words of a text, normalised.

    >>> words("“Don’t!” said Mr. O'Neill -- twice, at 7:30.")
    ["don't", 'said', 'mr', "o'neill", 'twice', 'at', '7', '30']
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return re.sub(r"(?<!\S)'+|'+(?!\S)", " ", kept).split()


def edits(reference: Sequence[str], other: Sequence[str]) -> int:
    """The fewest substitutions, deletions and insertions that turn one sequence into the other."""
    row = list(range(len(other) + 1))
    for i, word in enumerate(reference, start=1):
        above, row = row, [i]
        for j, heard in enumerate(other, start=1):
            row.append(min(above[j - 1] + (word != heard), above[j] + 1, row[j - 1] + 1))
    return row[-1]
