"""Models by name, ready to enhance; the default one on demand."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from sgmse._checks import shown
from sgmse._device import Precision, placed
from sgmse.checkpoints import QualityName, load_model
from sgmse.config import Classes
from sgmse.enhancer._enhancer import Enhancer
from sgmse.enhancer._options import Audio, Progress
from sgmse.errors import ArgumentTypeError
from sgmse.solvers import Solver


def load(
    name_or_path: str | Path = "default",
    *,
    device: str | torch.device | None = None,
    quality: QualityName | None = None,
    solver: Solver | str | None = None,
    steps: int | None = None,
    shifts: int | None = None,
    compat: str | None = None,
    force: bool = False,
    precision: Precision = "float32",
    classes: Classes | None = None,
) -> Enhancer:
    """Load a model, ready to enhance.

    Args:
        name_or_path: "default", "score", "live" or "restore" for a model in the package,
            a folder, a published checkpoint ("file.ckpt"), or "hf://owner/name" for a repository
            on the Hugging Face hub.
        device: where it runs; with CUDA where there is a GPU for it, else on the CPU. Others, such
            as "mps", only on request.
        quality: "fast", "balanced" or "best": how much time goes into a result, or "gentle": what
            is for recognisers of speech; of a model that offers it, as the default does (`sgmse
            info`).
        solver, steps, shifts: in place of the recommended ones; see `Enhancer.__call__`.
        compat: "sgmse" for the arithmetic of the published sampler, of a published checkpoint.
        force: take a sampler that the model is not made for, and keep results that are noise.
        precision: of the products in the networks: "float32", "tf32" (on GPUs that have it) or
            "bf16"; docs/devices.md has what each costs.
        classes: names in the model's config: `sgmse.checkpoints.CLASSES`, extended by your own.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: there is no such device or quality, or the model is not to be sampled so.
    """
    if not isinstance(device, str | torch.device | None):
        raise ArgumentTypeError(f"device must be 'cpu', 'cuda:0' or such, not {shown(device)}")
    checkpoint = load_model(name_or_path, compat=compat, quality=quality, classes=classes)
    enhancer = Enhancer.of(checkpoint).with_sampler(solver, steps, shifts, force=force)
    enhancer = replace(enhancer, precision=precision) if precision != "float32" else enhancer
    enhancer.front.to(placed(device, enhancer.model))
    return enhancer


@cache
def _default(quality: QualityName | None) -> Enhancer:
    return load(quality=quality)


def enhance(
    audio: Audio,
    sample_rate: int,
    *,
    seed: int = 0,
    dry: float | None = None,
    strength: float | None = None,
    max_attenuation: float | None = None,
    upper_band: bool = True,
    quality: QualityName | None = None,
    steps: int | None = None,
    solver: Solver | str | None = None,
    shifts: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Audio:
    """Enhance a recording with the default model; see `load` and `Enhancer.__call__`."""
    return _default(quality)(
        audio,
        sample_rate,
        seed=seed,
        dry=dry,
        strength=strength,
        max_attenuation=max_attenuation,
        upper_band=upper_band,
        steps=steps,
        solver=solver,
        shifts=shifts,
        force=force,
        progress=progress,
    )
