"""How likely clean audio is under an autoencoder: the evidence bound.

    ln p(x) >= E_q [ ln p(x | z) + ln p(z) - ln q(z | x) ] = E_q ln p(x | z) - KL(q || p)

(Kingma and Welling 2014, arXiv:1312.6114, eq. 2*), with equality where q is the true posterior.
ln p is a density of the spectrogram, as that of the flow is (`log_likelihood`), so that the bits
per dimension of both can be compared, of the same spectrograms. p(z) may be the law of a process in
the latent in place of CN(0, 1): then this is the bound of a latent diffusion (Vahdat et al. 2021,
arXiv:2106.05931).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor

from sgmse._checks import arguments
from sgmse.inference._likelihood import dimensions
from sgmse.networks import Autoencoder
from sgmse.solvers import Randn


@dataclass(frozen=True)
class Bound:
    """What `bound` gives, each of shape (batch,) but for the last two.

    Args:
        nats: the bound on ln p(x), by one draw of z.
        bits: -nats / (D ln 2), of x with D real dimensions; few are likely.
        reconstruction: ln p(x | z), nats.
        divergence: KL(q || p), or with a `law` what stands for it, ln q(z | x) - ln p(z), nats.
        latent: the draw z, like the mean of the posterior.
        decoded: the mean of p(x | z), like x.
    """

    nats: Tensor
    bits: Tensor
    reconstruction: Tensor
    divergence: Tensor
    latent: Tensor
    decoded: Tensor


def bound(
    autoencoder: Autoencoder,
    x: Tensor,
    *,
    randn: Randn = torch.randn_like,
    law: Callable[[Tensor], Tensor] | None = None,
) -> Bound:
    """The evidence bound of spectrograms x under an autoencoder. Gradients go through all of it.

    Args:
        autoencoder: of which the bound is.
        x: complex (batch, 1, frequency, frame).
        randn: draws CN(0, 1) like the mean of the posterior.
        law: ln p(z) in nats, (batch,), of latents (batch, 1, band, frame), such as
            `lambda z: log_likelihood(model, z, None).nats`; CN(0, 1) if absent.

    Raises:
        TypeError: x is not complex.
        ValueError: x has another shape than the autoencoder takes.
    """
    arguments(bound, locals())
    q = autoencoder.posterior(x)
    noise = randn(q.mean)
    z = q.sample(noise)
    decoded = autoencoder.decode(z)
    reconstruction = log_normal(x, decoded, autoencoder.noise)
    if law is None:
        divergence = q.divergence.flatten(1).sum(1)
    else:
        divergence = log_normal(z, q.mean, q.variance) - law(z)
    nats = reconstruction - divergence
    bits = -nats / (dimensions(x) * log(2))
    return Bound(nats, bits, reconstruction, divergence, z, decoded)


def log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """ln CN(x; mean, variance) in nats, (batch,): of a number -ln(pi v) - |x - mean|^2 / v."""
    each = -(pi * variance).log() - (x - mean).abs().square() / variance
    return each.flatten(1).sum(1)
