"""What is done to a result after the model: arrays in, arrays out.

A recording at the model's rate and what the model made of it come in; the result goes out as loud
as the speech in the recording was, no further from it than is asked for, and with the sound that
the model does not hear; what a listener should know is said, and noise that the model has made is
found. Arrays are (channels, samples); each channel is by itself.
"""

from sgmse.postprocessing._clipped import Tops
from sgmse.postprocessing._content import Content
from sgmse.postprocessing._finish import Finish
from sgmse.postprocessing._level import Level, raised
from sgmse.postprocessing._plausible import LIKELY, POSSIBLE, Plausibility, check_finite
from sgmse.postprocessing._remarks import Remarks
from sgmse.postprocessing._strength import at_least, share_of
from sgmse.postprocessing._upper_band import AboveBand, gains, whole_band
from sgmse.postprocessing._upper_network import UpperBand

__all__ = [
    "LIKELY",
    "POSSIBLE",
    "AboveBand",
    "Content",
    "Finish",
    "Level",
    "Plausibility",
    "Remarks",
    "Tops",
    "UpperBand",
    "at_least",
    "check_finite",
    "gains",
    "raised",
    "share_of",
    "whole_band",
]
