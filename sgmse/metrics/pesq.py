"""PESQ, perceptual evaluation of speech quality, as MOS-LQO; higher is better, up to 4.64.

Wide-band: ITU-T P.862.2, 16 kHz. Narrow-band: ITU-T P.862 mapped by P.862.1, 8 or 16 kHz. It aligns
time and level by itself. Computed by the package `pesq`, which is the ITU's code.

The same by P.862 corrigendum 2 (03/2018), which corrects the level at which loudness is computed:
scores are higher, by 0.8 on average says the package*, and are not comparable with those before it.
Computed by the package `pesqc2`, the same code with the correction.

That code writes beyond its memory where the reference has more than 50 utterances: it dies, or says
a number that means nothing. The recommendation is for recordings of 8 to 30 s; such a reference is
refused here. Pairs so long that other arrays of it might overflow are scored by a process that may
die, at the cost of its start, a fraction of what PESQ takes for them.
"""

import json
import os
import signal
import subprocess
import sys
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sgmse._extras import imported
from sgmse.errors import MetricError
from sgmse.metrics._signals import Signal, compared
from sgmse.metrics._utterances import ROOM, Mode, fit, surely_fit

Package = Literal["pesq", "pesqc2"]
EXTRAS = {"pesq": "metrics", "pesqc2": "pesqc2"}

LONG = 90.0  # seconds; it has room for 1000 bad intervals, and none takes less than 96 ms


def pesq_wb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Wide-band PESQ of signals (samples,) at 16 kHz, 1/4 s or longer.

    Raises `MetricError`, also for a reference with more than 50 utterances.
    """
    return _pesq("pesq", "wb", (16000,), reference, estimate, sample_rate)


def pesq_nb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Narrow-band PESQ of signals (samples,) at 8 or 16 kHz, 1/4 s or longer.

    Raises `MetricError`, also for a reference with more than 50 utterances.
    """
    return _pesq("pesq", "nb", (8000, 16000), reference, estimate, sample_rate)


def pesq_wb_c2(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """The same as `pesq_wb` by corrigendum 2."""
    return _pesq("pesqc2", "wb", (16000,), reference, estimate, sample_rate)


def pesq_nb_c2(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """The same as `pesq_nb` by corrigendum 2."""
    return _pesq("pesqc2", "nb", (8000, 16000), reference, estimate, sample_rate)


def _pesq(
    code: Package,
    mode: Mode,
    rates: tuple[int, ...],
    reference: ArrayLike,
    estimate: ArrayLike,
    sample_rate: int,
) -> float:
    s, s_hat = compared(reference, estimate, sample_rate, rates=rates, seconds=0.25)
    package = imported(code, "this metric", EXTRAS[code])
    seconds = len(s) / sample_rate
    if not surely_fit(len(s), sample_rate):
        fits, utterances = fit(s, sample_rate, mode)
        if not fits:
            raise MetricError(
                f"PESQ has room for {ROOM} utterances, and the clean recording of {seconds:.0f} s "
                f"has {utterances}; cut both into parts of 8 to 30 s, for which PESQ is made"
            )
    score = _here if seconds <= LONG else _apart
    return score(package, mode, s, s_hat, sample_rate)


def _here(package: ModuleType, mode: Mode, s: Signal, s_hat: Signal, sample_rate: int) -> float:
    """The score by the package."""
    try:
        return float(package.pesq(sample_rate, s, s_hat, mode))
    except package.PesqError as error:
        reason = error.args[0]
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise MetricError(
            f"PESQ cannot score this pair ({reason}); it needs speech well above silence"
        ) from error
    except ValueError as error:  # what the package makes of a score that is not a number
        raise MetricError(
            "PESQ gives this pair no number; one of the two has next to nothing above 300 Hz"
        ) from error


def _apart(package: ModuleType, mode: Mode, s: Signal, s_hat: Signal, sample_rate: int) -> float:
    """The same by another process, which may die of it."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, package.__name__, mode, str(sample_rate)],
        input=np.stack([s, s_hat]).tobytes(),
        capture_output=True,
        check=False,
        # It finds what this process finds, in whatever way.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        raise MetricError(
            f"the code of PESQ died of this pair of {s.size / sample_rate:.0f} s "
            f"({_cause(done.returncode)}); cut both into parts of 8 to 30 s, for which PESQ is made"
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    if isinstance(answer, str):
        raise MetricError(answer)
    return float(answer)


def _cause(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def _main(code: str, mode: Mode, sample_rate: int) -> None:
    """Score the pair at standard input: the score at standard output, or why there is none."""
    s, s_hat = np.frombuffer(sys.stdin.buffer.read(), np.float64).reshape(2, -1)
    package = imported(code, "this metric", EXTRAS[code])
    answer: float | str
    try:
        answer = _here(package, mode, s, s_hat, sample_rate)
    except MetricError as error:
        answer = str(error)
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    _main(sys.argv[1], "wb" if sys.argv[2] == "wb" else "nb", int(sys.argv[3]))
