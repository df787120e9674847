"""How much of a recording a result may lose: a limit on the attenuation, in every bin.

    Z = X  where |X| >= f |Y|,  else  f Y

in short-time spectra, for the input Y, the result X and the share f = 10^(-limit / 20): the gain
floor of spectral subtraction. What is noise alone is the input, with its own phase, at the limit;
speech is as the model gives it. The plain mix (1 - f) x + f y adds noise to speech, too, and
attenuates less than it says where the residue x resembles y: f + (1 - f) h for x = h y.
"""

import torch

from sgmse.postprocessing._spectra import Rows, Spectra

WINDOW = 0.032  # seconds


def share_of(max_attenuation: float | None) -> float:
    """The least share f of each bin that a limit in dB leaves; 0 where there is none.

    >>> round(share_of(20.0), 3), share_of(None)
    (0.1, 0.0)
    """
    return 0.0 if max_attenuation is None else 10 ** (-max_attenuation / 20)


def at_least(clean: Rows, noisy: Rows, share: float, sample_rate: int) -> Rows:
    """The result `clean` with at least that share of `noisy` in every bin.

    Shape: (channels, samples) twice -> (channels, samples).
    """
    hop = max(round(WINDOW * sample_rate / 4), 1)
    spectra = Spectra(4 * hop, hop)
    x, y = spectra.forward(clean), share * spectra.forward(noisy)
    return spectra.inverse(torch.where(x.abs() < y.abs(), y, x), clean.shape[1])
