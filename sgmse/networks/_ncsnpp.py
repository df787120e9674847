"""NCSN++, the residual U-Net of the published score-based speech enhancers.

Song et al. 2021 (arXiv 2011.13456, appendix H) for images, Richter et al. 2023 (arXiv 2208.05830)
for complex spectrograms. With e = MLP([sin, cos](2 pi w log t)) the embedding of the time, and s a
1x1 convolution where the shape changes, else the identity,

    residual block    x -> (s(R x) + C silu(N(C R silu(N x) + A e))) / sqrt 2
    attention block   x -> (x + A v softmax(k^T q / sqrt c)) / sqrt 2,      q, k, v = A N x

where C is a 3x3 convolution, A an affine map of the channels, N a group normalisation, and R
nothing or the resampling by two with the filter [1, 3, 3, 1] (Karras et al. 2020, StyleGAN2), or
without a filter by means of four points and copies of one. The input skip adds the input,
resampled, to every level on the way down, or joins it as further channels; the output skip sums an
image of every level on the way up.

As a predictive network it sees the observation alone, and A e is left out (Lemercier et al. 2023,
arXiv 2212.11851).

Parameters have names of their own here; `NCSNpp.published_keys` gives those of the published code.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from sgmse.errors import ArgumentError
from sgmse.networks._base import Network, complex_like, real_parts
from sgmse.networks._layers import GaussianFourier, convolution
from sgmse.networks._ncsnpp_layers import (
    FILTERED,
    PLAIN,
    Attention,
    Combine,
    Down,
    End,
    EndEmbedding,
    GroupNorm,
    Middle,
    ResidualBlock,
    TimeEmbedding,
    Up,
)

__all__ = ["NCSNpp"]


class NCSNpp(Network):
    """NCSN++ for complex spectrograms of any width and depth; 65.6 M parameters by default.

    Args:
        channels: width that `multipliers` refer to; the time embedding has 4 times as many.
        multipliers: width of each level in units of `channels`, the highest level first; every
            further one halves both axes.
        blocks: residual blocks a level on the way down; the way up has one more.
        attention_resolutions: levels with so many frequencies get attention, numbers that do not
            occur have no effect; the middle always has it.
        bins: frequencies of the highest level, which `attention_resolutions` refers to. The network
            takes other sizes (see `divisor`); attention stays at the same levels.
        input_skip: add the resampled input to every level on the way down.
        output_skip: sum an image from every level on the way up, instead of one from the last.
        combine: what the input skip does, `"sum"`, or `"cat"` to join it as further channels.
        fir: resample with the filter; without, by means of four points and copies of one.
        divide_by_t: divide by the time t the `"features"` before the last 1x1 convolution, which
            have as many channels as the input, the `"output"` after it, or nothing.
        observations: spectrograms that y holds; 0 for a prior, which sees the state alone.
        predictive: see y alone; neither the state nor the time matters.
        end: for estimates of whole steps, embed where a step ends, too: its `"length"` t - s, added
            (MeanFlowSE, arXiv:2509.14858), or the time s itself, added as `"end"` (SB-CTM,
            arXiv:2507.11925) or `"joined"` (COSE, arXiv:2509.15952). `forward` takes s, and
            without it s = t.
        floor: the least s that the network is told; positive for a logarithm of s.
        centred: take the input as it is; without, as twice the input less 1, which is meant for
            images in [0, 1] and what some published models do to spectrograms.

    `type(net)(**net.config)` builds the same network, and `config` survives JSON. `v1`, `v2`,
    `v48k` and `storm` are the published layouts. A network in `torch.channels_last` computes in it
    throughout, which is quicker on most processors; in single precision, on a CPU and in
    `torch.inference_mode` it computes its large convolutions by Winograd's algorithm then, within
    1e-5 of the largest value of what it gives elsewhere.

    The order of `parameters()` is that of the published code.

    Raises:
        ValueError: for sizes that no network can have, an unknown `divide_by_t` or `combine`, and a
            division by a time that a predictive network does not know.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 2, 2, 2),
        blocks: int = 2,
        attention_resolutions: Sequence[int] = (16,),
        bins: int = 256,
        input_skip: bool = True,
        output_skip: bool = True,
        combine: Literal["sum", "cat"] = "sum",
        fir: bool = True,
        divide_by_t: Literal["features", "output"] | None = None,
        observations: int = 1,
        predictive: bool = False,
        end: End | None = None,
        floor: float = 0.0,
        centred: bool = True,
    ) -> None:
        super().__init__()
        if not multipliers or min(channels, blocks, bins, *multipliers) < 1:
            raise ArgumentError(
                "channels, blocks, bins and each of one or more multipliers must be 1 or more; got "
                f"{channels=}, {blocks=}, {bins=}, multipliers={list(multipliers)}"
            )
        if observations < int(predictive):
            raise ArgumentError(
                f"observations must be at least {int(predictive)} with predictive={predictive}, "
                f"not {observations}"
            )
        if divide_by_t not in ("features", "output", None):
            raise ArgumentError(f'divide_by_t is {divide_by_t!r}; use "features", "output" or None')
        if combine not in ("sum", "cat"):
            raise ArgumentError(f'combine is {combine!r}; use "sum" or "cat"')
        if predictive and divide_by_t is not None:
            raise ArgumentError(
                f"predictive=True knows no time; divide_by_t {divide_by_t!r} needs one"
            )
        if end not in (*get_args(End), None):
            known = ", ".join(map(repr, get_args(End)))
            raise ArgumentError(f"end is {end!r}; use {known} or None")
        if predictive and end is not None:
            raise ArgumentError(f"predictive=True knows no time; end {end!r} needs two")
        if floor < 0 or (end in ("end", "joined") and floor == 0):
            raise ArgumentError(f"floor is {floor}, and the logarithm of s needs a positive one")
        self.divisor = (2 ** (len(multipliers) - 1),) * 2
        self.config = self.arguments(locals())
        self.divide_by_t = divide_by_t
        self.observations = observations
        self.predictive = predictive
        self.two_times = end is not None
        self.centred = centred
        parts = 2 * observations if predictive else 2 + 2 * observations  # real and imaginary
        embedding = None if predictive else 4 * channels
        widths = [channels * multiplier for multiplier in multipliers]
        attention = [bins >> level in attention_resolutions for level in range(len(widths))]
        lowest = len(widths) - 1
        resampling = FILTERED if fir else PLAIN
        joined = combine == "cat"

        # Registered in the published order of the parameters: positional EMA weights depend on it.
        self.output = nn.Conv2d(parts, 2, 1)
        self.end = None if end is None else EndEmbedding(channels, end, floor)
        self.embedding = None if predictive else TimeEmbedding(channels)
        self.input = convolution(parts, channels, 3)

        self.down = nn.ModuleList()
        skips = [channels]
        for level, width in enumerate(widths):
            path = [skips[-1]] + [width] * blocks
            self.down.append(
                Down(
                    path,
                    embedding,
                    parts,
                    attention=attention[level],
                    lowest=level == lowest,
                    input_skip=input_skip,
                    joined=joined,
                    resampling=resampling,
                )
            )
            skips += [width] * blocks
            if level != lowest:
                skips.append(2 * width if input_skip and joined else width)

        self.middle = Middle(widths[-1], embedding)

        self.up = nn.ModuleList()
        before = widths[-1]
        for level in reversed(range(len(widths))):
            self.up.append(
                Up(
                    before,
                    [skips.pop() for _ in range(blocks + 1)],
                    widths[level],
                    embedding,
                    parts,
                    attention=attention[level],
                    highest=level == 0,
                    output_skip=output_skip,
                    resampling=resampling,
                )
            )
            before = widths[level]

    @classmethod
    def v1(cls, **changes: Any) -> Self:
        """Build the published `ncsnpp` (the 16 kHz models); the score is minus its output."""
        return cls(**{"divide_by_t": "features"} | changes)

    @classmethod
    def v2(cls, **changes: Any) -> Self:
        """Build the published `ncsnpp_v2` (Schroedinger bridges and preconditioned models)."""
        return cls(**{"divide_by_t": None} | changes)

    @classmethod
    def v48k(cls, **changes: Any) -> Self:
        """Build the published `ncsnpp_48k` (the 48 kHz models); the score is minus its output."""
        layout: dict[str, Any] = {
            "attention_resolutions": (),
            "input_skip": False,
            "output_skip": False,
            "divide_by_t": "output",
        }
        return cls(**layout | changes)

    @classmethod
    def storm(cls, **changes: Any) -> Self:
        """Build the published `ncsnpp` of StoRM (27.8 M parameters); the score is minus its output.

        Its predictor is `storm(predictive=True)`, which divides by no time.
        """
        layout: dict[str, Any] = {
            "multipliers": (1, 2, 2, 2),
            "blocks": 1,
            "attention_resolutions": (),
            "divide_by_t": None if changes.get("predictive") else "features",
            "centred": False,
        }
        return cls(**layout | changes)

    @override
    def forward(self, x: Tensor, y: Tensor | None, t: Tensor, s: Tensor | None = None) -> Tensor:
        """See `Network`; s (batch,) is the time to which a step leads, of a network of two."""
        y = self.seen(x, y)
        self._check(x, y, t)
        parts = real_parts(x), real_parts(*torch.split(y, 1, dim=1))
        return complex_like(self.real_valued(*parts, t, s), x)

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
        image = y if self.predictive else torch.cat([x, y], dim=1)
        if not self.centred:
            image = 2 * image - 1
        until = t if s is None else s
        e = None if self.embedding is None else self.embedding(t, self.end, until)

        pyramid: Tensor | None = image
        skips = [self.input(image)]
        for down in self.down:
            pyramid = down(skips, e, pyramid)
        h = self.middle(skips[-1], e)
        pyramid = None
        for up in self.up:
            h, pyramid = up(h, skips, e, pyramid)
        assert pyramid is not None  # the highest level has a head

        time = t[:, None, None, None].to(image.dtype)
        h = self.output(pyramid / time if self.divide_by_t == "features" else pyramid)
        out: Tensor = h / time if self.divide_by_t == "output" else h
        return out

    @override
    def published_keys(self) -> dict[str, str]:
        """See `Network`; both in the order of `parameters()`, but where `end` is "end" or "joined".

        A list of weights without names (torch_ema) belongs to these keys one by one, to all of
        them, or in older files to those with `requires_grad`, that is without the frequencies.

        The published predictive network has, between these, weights that it never uses: Fourier
        frequencies and the maps `Dense_0` of an embedding that it does not make.
        """
        keys: dict[str, str] = {}
        for parameter, _ in self.output.named_parameters():
            keys[f"output.{parameter}"] = f"output_layer.{parameter}"
        beside, taken = {"output"}, int(self.predictive)
        if self.end is not None:
            names, taken = _ENDS[self.end.kind]
            beside |= {"end", *(name.partition(".")[0] for name in names)}
            for part, theirs in names.items():
                for leaf, _ in self.get_submodule(part).named_parameters():
                    keys[f"{part}.{leaf}"] = f"{theirs}.{'W' if leaf == 'frequencies' else leaf}"
        children = [(name, child) for name, child in self.named_children() if name not in beside]
        listed = [entry for name, child in children for entry in _entries(child, name)]
        for index, (name, module) in enumerate(listed, start=taken):
            names = _ENTRIES[type(module)]
            for parameter, _ in module.named_parameters():
                part, _, leaf = parameter.partition(".")
                theirs = names.get(parameter) or (
                    f"{names[part]}.{leaf}" if part in names else parameter
                )
                keys[f"{name}.{parameter}"] = f"all_modules.{index}.{theirs}"
        return keys


# Modules that are one entry of the published list `all_modules`, and the published names inside it.
_CHANNEL_MAPS = {"query": "NIN_0", "key": "NIN_1", "value": "NIN_2", "project": "NIN_3"}
_ENTRIES: dict[type[nn.Module], dict[str, str]] = {
    nn.Linear: {},
    nn.Conv2d: {},
    GroupNorm: {},
    GaussianFourier: {"frequencies": "W"},
    Combine: {"conv": "Conv_0"},
    ResidualBlock: {
        "norm_in": "GroupNorm_0",
        "conv_in": "Conv_0",
        "time": "Dense_0",
        "norm_out": "GroupNorm_1",
        "conv_out": "Conv_1",
        "shortcut": "Conv_2",
    },
    Attention: {
        "norm": "GroupNorm_0",
        **{f"{ours}.weight": f"{theirs}.W" for ours, theirs in _CHANNEL_MAPS.items()},
        **{f"{ours}.bias": f"{theirs}.b" for ours, theirs in _CHANNEL_MAPS.items()},
    },
}


#: For each kind of `EndEmbedding` the published names of layers that are not in the order of the
#: list or not in it, and where the others begin in it.
_ENDS: dict[End, tuple[dict[str, str], int]] = {
    "length": (
        {"end.fourier": "delta_gfproj", "end.first": "delta_fc1", "end.second": "delta_fc2"},
        0,
    ),
    "end": (
        {
            "embedding.fourier": "all_modules.0",
            "end.fourier": "all_modules.1",
            "embedding.first": "all_modules.2",
            "embedding.second": "all_modules.3",
            "end.first": "all_modules.4",
            "end.second": "all_modules.5",
        },
        6,
    ),
    "joined": (
        {
            "embedding.fourier": "fourier_projection_t",
            "end.fourier": "fourier_projection_r",
            "embedding.first": "linear_t1",
            "embedding.second": "linear_t2",
            "end.first": "linear_r1",
            "end.second": "linear_r2",
            "end.join": "final_linear",
        },
        0,
    ),
}


def _entries(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Walk through the entries of the published list in its order, that of our registration."""
    if type(module) in _ENTRIES:
        yield name, module
    else:
        for child_name, child in module.named_children():
            yield from _entries(child, f"{name}.{child_name}")
