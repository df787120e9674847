"""Tiny checkpoints of BBED, of the corrected reverse process and of FlowSE, and their vectors."""

import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sgmse.checkpoints import Checkpoint, published
from sgmse.checkpoints.published._torch_files import read_torch
from sgmse.enhancer import Enhancer, _segments

DATA = Path(__file__).parent / "data" / "parity"


class Scripted:
    """The draws of a run: real and imaginary part in turn, of a generator that never changes."""

    def __init__(self, seed: int) -> None:
        self.source = np.random.RandomState(seed)  # whose numbers stay the same
        self.count = 0

    def __call__(self, like: Tensor) -> Tensor:
        self.count += 1
        real, imaginary = (self.source.standard_normal(like.shape) for _ in range(2))
        return torch.from_numpy((real + 1j * imaginary) / 2**0.5).to(like)


def file(name: str, folder: Path) -> Path:
    """The checkpoint, as their training wrote it."""
    path = folder / f"{name}.ckpt"
    path.write_bytes(lzma.decompress((DATA / f"{path.name}.xz").read_bytes()))
    return path


def contents(name: str, folder: Path, **settings: Any) -> dict[Any, Any]:
    """What it holds, some settings changed; those that are None are left out."""
    held = read_torch(file(name, folder))
    changed = held["hyper_parameters"] | settings
    kept = {key: value for key, value in changed.items() if value is not None}
    return held | {"hyper_parameters": kept}


def read(name: str, folder: Path, compat: str | None = None) -> Checkpoint:
    return published.read(file(name, folder), compat)


def vectors(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings and arrays."""
    with np.load(DATA / f"{name}.npz") as z:
        arrays = {key: z[key] for key in z.files}
    return json.loads(str(arrays.pop("settings_json"))), arrays


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@torch.inference_mode()
def error_of_forward(name: str, checkpoint: Checkpoint, sign: int) -> float:
    """Of the network, against their score or velocity, in float64."""
    _, v = vectors(name)
    x, y = (torch.from_numpy(v[key]).to(torch.complex128) for key in "xy")
    output = checkpoint.model.network.double()(x, y, torch.from_numpy(v["t"]))
    return relative(sign * output.numpy(), v["forward"])


def error_of_audio(
    name: str, run: str, enhancer: Enhancer, monkeypatch: pytest.MonkeyPatch, dtype: str = "float64"
) -> float:
    """From a recording to audio, against theirs, with the same noise."""
    settings, v = vectors(name)
    draws = Scripted(settings[run]["seed"])
    monkeypatch.setattr(_segments, "Draws", lambda *_: draws)
    enhancer.model.to(getattr(torch, dtype))
    audio = enhancer((v["pcm"] / 32768).astype(dtype), 16000)
    assert draws.count >= settings[run]["draws"]
    return relative(audio, v[f"audio_{run}"])
