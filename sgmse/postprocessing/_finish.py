"""All that is done to the segments of a recording, in their order."""

import numpy as np

from sgmse.postprocessing._level import Level
from sgmse.postprocessing._spectra import Rows
from sgmse.postprocessing._strength import at_least
from sgmse.postprocessing._upper_band import gains


class Finish:
    """What becomes of results of a model at its rate, segment after segment of one recording.

    Args:
        sample_rate: of the model, in Hz.
        level: whether the result is to be as loud as the speech in the recording.
        least: the share of the recording that stays in every bin.
        upper_band: whether sound above the band of the model gets the gains of the band below.
        tracks: whether `whole_band` takes the result; then its channels are followed by those of
            the recording at the rate of the model, and by those of the gains of the rest.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        level: bool,
        least: float,
        upper_band: bool,
        tracks: bool,
    ) -> None:
        self.sample_rate = sample_rate
        self.level = Level(sample_rate) if level else None
        self.least = least
        self.upper_band = upper_band
        self.tracks = tracks

    def __call__(self, clean: Rows, noisy: Rows) -> Rows:
        """The next segment, of what the model made and of what it heard."""
        if self.level is not None:
            clean = self.level(clean, noisy)
        if self.least > 0:
            clean = at_least(clean, noisy, self.least, self.sample_rate)
        if not self.tracks:
            return clean
        none = np.zeros_like(clean)
        gain = gains(clean, noisy, self.sample_rate) if self.upper_band else none
        return np.concatenate([clean, noisy, np.maximum(gain, self.least)])
