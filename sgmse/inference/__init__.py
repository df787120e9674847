"""What else a model says than one clean recording.

A `ScoreModel`, a solver and a grid come in; out come likelihoods of clean audio, latents and what
is decoded from them, means and deviations over many samples, and grids and variances fitted to it.
"""

from sgmse.inference._calibration import Calibration, coverage
from sgmse.inference._ensembles import Ensemble, ensemble
from sgmse.inference._fitting import Fit, fit
from sgmse.inference._guidance import Blind, Guided
from sgmse.inference._latent import decode, encode
from sgmse.inference._likelihood import Exact, Hutchinson, Likelihood, Normal, log_likelihood
from sgmse.inference._objectives import AYS, GITS, Endpoint, Objective
from sgmse.inference._posterior_variance import posterior_variance
from sgmse.inference._rewards import Heard, dnsmos_overall, si_sdr_to_observation
from sgmse.inference._steering import Best, Particles, best_of, steer

__all__ = [
    "AYS",
    "GITS",
    "Best",
    "Blind",
    "Calibration",
    "Endpoint",
    "Ensemble",
    "Exact",
    "Fit",
    "Guided",
    "Heard",
    "Hutchinson",
    "Likelihood",
    "Normal",
    "Objective",
    "Particles",
    "best_of",
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
]
