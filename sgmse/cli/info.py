"""Say what a model is.

examples:
  sgmse info
  sgmse info file.ckpt
"""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sgmse.cli.models import changes
from sgmse.cli.options import MODEL, Commands, command

if TYPE_CHECKING:
    from sgmse.checkpoints import Checkpoint, Effect, Quality
    from sgmse.model import Regeneration, ScoreModel


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "info", run, __doc__)
    parser.value("model", "MODEL", MODEL, default="default", nargs="?")
    parser.compat()
    parser.json("one object")


def _band(checkpoint: "Checkpoint") -> str:
    """What the model hears, and what becomes of the rest."""
    upper = checkpoint.upper_band
    edge = checkpoint.front.sample_rate // 2
    if checkpoint.model.deaf:
        return f"up to {edge} Hz"
    if upper is None:
        how = "is lowered with the band below"
    else:
        size = sum(p.numel() for p in upper.parameters())
        how = f"is freed of noise by a network of {size / 1e3:.0f} k weights"
    return f"up to {edge} Hz; sound above it {how} (--upper-band), or left out"


def run(options: argparse.Namespace) -> int:
    """Print the parts of a model and what its training says, a row each or as one object."""
    from sgmse.checkpoints import load_model, locate

    checkpoint = load_model(options.model, compat=options.compat)
    model = checkpoint.model
    training = dict(checkpoint.training)
    rows = {
        "model": f"{options.model} ({locate(options.model)})",
        "family": training.pop("family", "sgmse-toolkit"),
        **_networks(model),
        "process": model.sde,
        "estimates": model.parametrization,
        "spectrogram": checkpoint.front.transform,
        "sample rate": f"{checkpoint.front.sample_rate} Hz",
        "band": _band(checkpoint),
        "level": checkpoint.front.level,
        "solver": checkpoint.sampler.solver,
        "grid": checkpoint.sampler.grid,
        "shifts": checkpoint.sampler.shifts,
        "samplers": ", or ".join(map(str, checkpoint.ranges)),
        **{f"quality {name}": _worth(own) for name, own in checkpoint.qualities.items()},
        **({} if checkpoint.strength == 1 else {"strength": checkpoint.strength}),
        **({"mends": ", ".join(checkpoint.mends)} if checkpoint.mends else {}),
        **({} if checkpoint.effect is None else {"effect": _brings(checkpoint.effect)}),
        "licence": checkpoint.licence or "not stated",
    } | {f"training: {key}": value for key, value in training.items()}
    if options.json:
        print(json.dumps(_facts(options.model, checkpoint)))
        return 0
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:{width}}  {value}")
    return 0


def _worth(quality: "Quality") -> str:
    """What a quality is, costs and brings."""
    sampler = quality.sampler
    how = "" if sampler is None else f"{sampler.grid.steps} step{'s' * (sampler.grid.steps != 1)}"
    shifts = "" if sampler is None else f"{sampler.shifts} shift{'s' * (sampler.shifts != 1)}"
    model = "" if quality.model is None else f"the model {quality.model}"
    strength = "" if quality.strength is None else f"strength {quality.strength:g}"
    dry = "" if quality.dry is None else f"{quality.dry:.0%} of the input kept"
    measured = [f"{name} {value:g}" for name, value in quality.measured.items()]
    if quality.effect is not None:
        measured.append(_brings(quality.effect))
    return ", ".join(part for part in (model, how, shifts, strength, dry, *measured) if part)


def _brings(effect: "Effect") -> str:
    """What was measured, and on which recordings."""
    return f"{changes(effect)} ({effect.recordings})"


def _networks(model: "ScoreModel | Regeneration") -> dict[str, str]:
    parts = {name: model.parts.get(name) for name in ("network", "predictor")}
    return {
        name: f"{type(part).__name__}, {sum(p.numel() for p in part.parameters()) / 1e6:.2f} M "
        "parameters"
        for name, part in parts.items()
        if part is not None
    }


def _facts(name: str, checkpoint: "Checkpoint") -> dict[str, object]:
    """What the rows say, for programs: objects as configs have them."""
    from collections.abc import Mapping

    from sgmse.checkpoints import CLASSES, Quality, locate
    from sgmse.config import to_plain

    model, front, training = checkpoint.model, checkpoint.front, dict(checkpoint.training)
    parts = ("network", "predictor")
    return {
        "model": name,
        "path": str(locate(name)),
        "family": training.pop("family", "sgmse-toolkit"),
        "parts": {
            name: {
                "class": type(part).__name__,
                "parameters": sum(p.numel() for p in part.parameters()),
            }
            for name in parts
            if (part := model.parts.get(name)) is not None
        },
        "process": to_plain(model.sde, CLASSES),
        "estimates": to_plain(model.parametrization, CLASSES),
        "spectrogram": to_plain(front.transform, CLASSES),
        "sample_rate": front.sample_rate,
        "solver": to_plain(checkpoint.sampler.solver, CLASSES),
        "grid": to_plain(checkpoint.sampler.grid, CLASSES),
        "shifts": checkpoint.sampler.shifts,
        "samplers": [str(item) for item in checkpoint.ranges],
        "qualities": to_plain(checkpoint.qualities, CLASSES, Mapping[str, Quality]),
        "mends": list(checkpoint.mends),
        **({} if checkpoint.effect is None else {"effect": asdict(checkpoint.effect)}),
        "licence": checkpoint.licence or None,
        "training": training,
    }
