"""What is done to a result after the model: arrays in, arrays out.

A recording at the model's rate and what the model made of it come in; the result goes out as loud
as the speech in the recording was. Arrays are (channels, samples); each channel is by itself.
"""

from sgmse.postprocessing._level import Level

__all__ = ["Level"]
