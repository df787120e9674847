"""The vectors of edm2se: a tiny published model with random weights, and what it gives."""

from math import log, prod
from pathlib import Path

from problems import vectors
from torch import Tensor

from sgmse.networks import MagnitudePreservingUNet
from sgmse.sdes import SBVE, SDE, Scales

FILE = Path(__file__).parent / "data" / "parity" / "edm2se.npz"
#: What its file does not tell of it.
ATTENTION, HEAD_CHANNELS = (128,), 4


def weights_and_arrays() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights by their published names, in float32, and the arrays."""
    settings, arrays = vectors(FILE)
    state, begin = {}, 0
    for name, shape in settings["state_dict"].items():
        end = begin + prod(shape)
        state[name] = arrays["weights"][begin:end].reshape(shape).float()
        begin = end
    assert begin == len(arrays["weights"])
    return state, arrays


def network(state: dict[str, Tensor]) -> MagnitudePreservingUNet:
    net = MagnitudePreservingUNet(
        channels=4,
        multipliers=(1, 2, 2),
        blocks=1,
        attention_resolutions=ATTENTION,
        head_channels=HEAD_CHANNELS,
    )
    net.load_state_dict({ours: state[theirs] for ours, theirs in net.published_keys().items()})
    return net.eval()


class PublishedScales(SDE):
    """Those of the code, of which 1e-8 keeps zeros away; with the noise of both parts."""

    def scales(self, t: Tensor) -> Scales:
        exact, eps = SBVE().scales(t), 1e-8
        total = 0.4 * (2.6**2 - 1) / (2 * log(2.6)) + eps
        done, left = exact.b * (total - eps) + eps, exact.a * (total - eps) + eps
        deviation = (done * left).sqrt() / (total**0.5 + eps)
        return Scales(left / (total + eps), done / (total + eps), 2**0.5 * deviation)
