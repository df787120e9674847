"""From one domain to another by the flows of two priors.

Dual diffusion implicit bridges (Su et al. 2022, arXiv:2203.08382): clean audio x_A of one domain
goes up the probability flow of its prior to a latent, which the flow of the other prior leads down,

    latent = E_A(x_A),      x_B = D_B(latent),      D_A(E_B(x_B)) = x_A

where E and D are `encode` and `decode`. Each is an optimal transport with the entropy of the
process between a domain and the latents, so that a transfer is a Schroedinger bridge to the latents
and one from them, and needs no pairs. Both flows are one to one, and so is the transfer. Of
Gaussians N(m, C) it is affine: with W(t) = a_t^2 C + sigma_t^2, from the end e of the grid to its
start s and back,

    x_B = m_B + (W_B(e) / W_B(s))^1/2 ((W_A(s) / W_A(e))^1/2 (x_A - m_A) + a_s / a_e (m_A - m_B))

and C_B^1/2 C_A^-1/2 (x_A - m_A) + m_B in the limit of a whole process.

What comes out is one to one with what goes in as long as nobody changes it on the way. But not
every spectrogram is one of a sound: frames that overlap hold more numbers than the samples, and
going to audio and back takes what no sound has. `Consistent` models estimate spectrograms of sounds
alone, so that there is next to nothing to take.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sgmse._checks import arguments, kinds, whole
from sgmse.errors import ArgumentError
from sgmse.estimates import Estimate
from sgmse.front import FrontEnd
from sgmse.inference._latent import decode, encode
from sgmse.sdes import SDE, expand
from sgmse.solvers import Callback, Grid, Model, Solver, modelled
from sgmse.solvers._base import Around


@dataclass(frozen=True)
class Consistent(Around):
    """A model whose estimates of clean audio are spectrograms of sounds.

        x0 = S(S^-1(x0_hat)),      noise = (x - a x0 - b y) / sigma

    S is the transform of the front end, S^-1 its inverse: the projection of Griffin and Lim (1984),
    in the place of the estimate. For a `Waveform` it changes nothing.

    Args:
        model: a `ScoreModel`, or anything else that is a `Model`.
        front: what it hears.
        samples: of the audio that its states are of.

    Raises:
        ValueError: a state is of another number of frames.
    """

    model: Model
    front: FrontEnd
    samples: int

    def __post_init__(self) -> None:
        modelled(self.model)
        kinds(self)
        whole("samples", self.samples, least=1)

    def __call__(self, x: Tensor, y: Tensor | None, t: Tensor) -> Estimate:
        """The estimate at x (batch, 1, frequency, frame), t (batch,)."""
        frames = self.front.frames(self.samples)
        if x.shape[-1] < frames:
            raise ArgumentError(
                f"{self.samples} samples have {frames} frames, and the state has {x.shape[-1]}; "
                "say how many samples it is of"
            )
        sound = self.front.inverse(self.model(x, y, t).x0, self.samples)
        x0 = self.front.forward(sound, x.shape[-1])
        a, b, sigma = (expand(scale, x) for scale in self.sde.scales(t))
        rest = x - a * x0 if y is None else x - a * x0 - b * y
        return Estimate(x0, torch.where(sigma > 0, rest / sigma.clamp(min=1e-30), 0.0))


class Transferred(NamedTuple):
    """Audio in the other domain, the latent on the way there, and evaluations of both models."""

    x: Tensor
    latent: Tensor
    nfe: int


def transfer(
    source: Model,
    target: Model,
    x0: Tensor,
    solver: Solver,
    grid: Grid,
    *,
    callback: Callback | None = None,
) -> Transferred:
    """Clean audio of the domain of one prior as that of another one.

    With the models exchanged it is its inverse, up to the errors of the solver.

    Args:
        source: the prior of what x0 is: a `ScoreModel` or anything else that is a `Model`, of a
            process without an observation.
        target: the prior of what comes out, of the same process.
        x0: clean audio as both models see it, (batch, ...), complex or real.
        solver: one of the flow, which draws no noise and starts where it stands.
        grid: the times; an earlier start leaves more of x0 in the latent, and changes it less.
        callback: called with the `Step` that was taken, after each; first those up, then those
            down.

    Raises:
        ValueError: the models are of two processes, or of one that leads to an observation; solver
            or grid do not lead from audio to a latent (`encode`).
    """
    arguments(transfer, locals())
    modelled(source)
    modelled(target)
    if why := apart(source.sde, target.sde):
        raise ArgumentError(why)
    up = encode(source, x0, None, solver, grid, callback=callback)
    down = decode(target, up.x, None, solver, grid, callback=callback)
    return Transferred(down.x, up.x, up.nfe + down.nfe)


def apart(source: SDE, target: SDE) -> str | None:
    """Why the latents of two processes are not of one kind, or None."""
    if source != target:
        return (
            f"the latents of {source} are none of {target}: train the prior of one domain with the "
            "process of the other, such as from its weights (sgmse train --from)"
        )
    if source.observed:
        return (
            f"{source} leads to an observation, and a domain has none: take priors of a process "
            "that ends in noise, such as FlowMatching() or VP() (recipe prior)"
        )
    return None
