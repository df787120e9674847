"""Audio in, clean audio out: rates, levels, channels, long recordings and files around a model.

A recording passes as a stream, so that its length does not matter:

    blocks -> the model's rate -> segments -> spectrogram -> solve -> audio -> faded together
           -> as loud as the speech was -> no weaker than is asked for -> the recording's rate
           -> with the band above the model's -> mixed with the input -> blocks

Each channel is enhanced as a recording of its own, at its own level, with the same noise as the
others: so a channel never changes another one, and what was in the middle stays there.
"""

from sgmse.enhancer._enhancer import Enhancer
from sgmse.enhancer._loading import enhance, load
from sgmse.enhancer._observed import Observed
from sgmse.enhancer._options import Audio, Progress

__all__ = ["Audio", "Enhancer", "Observed", "Progress", "enhance", "load"]
