"""What is asked of one recording."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

from numpy.typing import NDArray
from torch import Tensor

from sgmse._checks import called, flag, number, whole
from sgmse.errors import ResultWarning
from sgmse.postprocessing import LIKELY, Plausibility, share_of

Audio = TypeVar("Audio", NDArray[Any], Tensor)
#: Called with the seconds of audio that are done since the last call.
Progress = Callable[[float], object]


@dataclass(frozen=True)
class Options:
    """What is asked of one recording; see `Enhancer.__call__`."""

    seed: int
    dry: float
    max_attenuation: float | None = None
    upper_band: bool = True
    progress: Progress | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    plausibility: Plausibility = field(default_factory=Plausibility)

    def __post_init__(self) -> None:
        whole("seed", self.seed, least=0)
        number("dry", self.dry, 0, 1)
        if self.max_attenuation is not None and self.max_attenuation != inf:
            number("max_attenuation", self.max_attenuation, 0)
        flag("upper_band", self.upper_band)
        called("progress", self.progress, "the seconds that are done")

    @property
    def least(self) -> float:
        """The share of the input that stays in every bin."""
        return share_of(self.max_attenuation)

    def done(self, seconds: float) -> None:
        """Report progress."""
        if self.progress is not None:
            with self.lock:
                self.progress(seconds)

    def tell(self, name: str) -> None:
        """Warn of a result, of that name, that is not like its recording."""
        if (excess := self.plausibility.excess) > LIKELY:
            what = f"{name}: {excess:.0%} of its energy is where the recording has next to none"
            text = f"{what}; listen to it, it may be noise that the model has made"
            warnings.warn(text, ResultWarning, stacklevel=3)
