"""What else a model says than one clean recording.

A `ScoreModel`, a solver and a grid come in; out come likelihoods of clean audio, latents and what
is decoded from them, means and deviations over many samples, grids and variances fitted to it, of
two priors audio of one domain as that of the other, and, of a prior and a measurement, a model of
their posterior.
"""

from sgmse.inference._audio_posterior import AudioPosterior
from sgmse.inference._bound import Bound, bound
from sgmse.inference._calibration import Calibration, coverage
from sgmse.inference._decoupled import DAPS, PublishedDPS, Renewed
from sgmse.inference._ensembles import Ensemble, ensemble
from sgmse.inference._fitting import Fit, fit
from sgmse.inference._guidance import Blind, Guided
from sgmse.inference._latent import decode, encode
from sgmse.inference._likelihood import Exact, Hutchinson, Likelihood, Normal, log_likelihood
from sgmse.inference._measurements import Measurement
from sgmse.inference._objectives import AYS, GITS, Endpoint, Objective
from sgmse.inference._operators import (
    Chain,
    Clipping,
    Decoded,
    Filter,
    Mask,
    Operator,
    Room,
    conjugate_gradients,
)
from sgmse.inference._posterior import DPS, MMPS, Approximation, DiffPIR, PiGDM, Posterior
from sgmse.inference._posterior_variance import posterior_variance
from sgmse.inference._rewards import Heard, dnsmos_overall, si_sdr_to_observation
from sgmse.inference._rooms import UnknownRoom
from sgmse.inference._steering import Best, Particles, best_of, steer
from sgmse.inference._transfer import Consistent, Transferred, transfer

__all__ = [
    "AYS",
    "DAPS",
    "DPS",
    "GITS",
    "MMPS",
    "Approximation",
    "AudioPosterior",
    "Best",
    "Blind",
    "Bound",
    "Calibration",
    "Chain",
    "Clipping",
    "Consistent",
    "Decoded",
    "DiffPIR",
    "Endpoint",
    "Ensemble",
    "Exact",
    "Filter",
    "Fit",
    "Guided",
    "Heard",
    "Hutchinson",
    "Likelihood",
    "Mask",
    "Measurement",
    "Normal",
    "Objective",
    "Operator",
    "Particles",
    "PiGDM",
    "Posterior",
    "PublishedDPS",
    "Renewed",
    "Room",
    "Transferred",
    "UnknownRoom",
    "best_of",
    "bound",
    "conjugate_gradients",
    "coverage",
    "decode",
    "dnsmos_overall",
    "encode",
    "ensemble",
    "fit",
    "log_likelihood",
    "posterior_variance",
    "si_sdr_to_observation",
    "steer",
    "transfer",
]
