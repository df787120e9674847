"""EDM2SE, the magnitude-preserving model of https://github.com/sp-uhh/edm2se.

Richter et al. 2026 (arXiv:2505.05216): `MagnitudePreservingUNet` on the Schroedinger bridge `SBVE`,
preconditioned as `Additive`. The code counts the variance of the noise in each part of a complex
number, this library in both together: hence sqrt(2) times the noise. Its spectrograms are those of
SGMSE+ times 0.5 / 0.08. The sampler is the ODE in 50 steps, whose last estimate is the result.

A file is the weights alone, or a state of the training, of which the weights after the last update
are read, without averaging, as the training validates them. It does not tell its constants nor
where the network has attention: the weights are run as the published script runs them, with
attention at 16 and 8 frequencies, a state of the training as it is trained, at 16. Pickled
snapshots of the training (.pkl) hold code for the network and are refused.

With compat="sgmse" the sampler has the published epsilons; the exact one leaves out their bias, of
2 % in the first of 50 steps.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from typing_extensions import override

from sgmse.checkpoints.native import Checkpoint
from sgmse.checkpoints.published._family import Contents, Family
from sgmse.checkpoints.published._unpickler import mapping
from sgmse.checkpoints.published._weights import build, fill
from sgmse.compat import SBODE
from sgmse.errors import CheckpointError
from sgmse.estimates import Additive
from sgmse.front import FrontEnd
from sgmse.model import ScoreModel
from sgmse.networks import MagnitudePreservingUNet
from sgmse.sdes import SBVE, Scaled
from sgmse.solvers import Exponential, Sampler, SamplerRange, Uniform
from sgmse.transforms import Power, Spectrogram

MARKS = ("unet.out_gain", "unet.emb_fourier.freqs", "unet.out_conv.weight")
RUN, TRAINED = (16, 8), (16,)  # frequencies of the levels with attention
HEAD_CHANNELS = 64
#: Published weights that the output does not depend on.
UNUSED = re.compile(
    r"logvar_(fourier|linear)\.\w+"
    r"|unet\.dec\.\w+\.(conv_cond\.weight|cond_balance)"
    r"|unet\.(enc|dec)\.\w+\.attn_(qkv|proj)\.weight"
)


class EDM2SE(Family):
    """Files whose weights have the names of EDM2SE."""

    @override
    def recognises(self, contents: Contents) -> bool:
        return all(mark in _weights(contents) for mark in MARKS)

    @override
    def read(self, contents: Contents, compat: str | None) -> Checkpoint:
        state = _weights(contents)
        network = _network(state, RUN if MARKS[0] in contents else TRAINED)
        fill(network, state, unused=UNUSED)
        solver = SBODE(told="state") if compat else Exponential(start=0.0)
        return Checkpoint(
            model=ScoreModel(network, Scaled(SBVE(k=2.6, c=0.4), 2**0.5), Additive()),
            front=FrontEnd(
                Spectrogram(510, 128, Power(0.5, 0.15 * 0.5 / 0.08)),
                16000,
                "reflect",
                level="published",
            ),
            sampler=Sampler(solver, Uniform(50, end=0.0)),
            training={"family": "edm2se"},
            samplers=(SamplerRange(),),  # it says what the data is at any time
        )


def _weights(contents: Contents) -> dict[str, Any]:
    """The weights: the file itself, or what a state of the training has as its net."""
    state = mapping(contents.get("net")) or contents
    return {key: value for key, value in state.items() if isinstance(key, str)}


def _network(state: Mapping[str, Any], attention: tuple[int, ...]) -> MagnitudePreservingUNet:
    """A network of the sizes of these weights, without memory for them."""

    def first(block: str) -> Any:
        return state.get(f"unet.enc.{block}.conv_res0.weight")

    tops = [key for key in state if re.fullmatch(r"unet\.enc\.\d{1,6}_conv\.weight", key)]
    if len(tops) != 1:
        raise CheckpointError(f"its network has {len(tops)} weights unet.enc.*_conv.weight, not 1")
    bins, levels, blocks = int(tops[0].split(".")[2].removesuffix("_conv")), 1, 1
    while bins >> levels and first(f"{bins >> levels}_down") is not None:
        levels += 1
    while first(f"{bins}_block{blocks}") is not None:
        blocks += 1
    widths = []
    for level in range(levels):
        block = f"{bins >> level}_block0"
        weight = first(block)
        if not isinstance(weight, Tensor) or weight.ndim != 4:
            raise CheckpointError(f"its state_dict lacks unet.enc.{block}.conv_res0.weight")
        widths.append(weight.shape[0])
    if not widths[0] or any(w % widths[0] for w in widths):
        raise CheckpointError(f"its network has the widths {widths}, no multiples of the first")
    return build(
        lambda: MagnitudePreservingUNet(
            channels=widths[0],
            multipliers=[w // widths[0] for w in widths],
            blocks=blocks,
            attention_resolutions=attention,
            bins=bins,
            head_channels=HEAD_CHANNELS,
        )
    )
