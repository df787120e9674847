"""List the models in the package: what each is for, costs and reaches.

All of it is what the models themselves say: their configs, weights and cards.

examples:
  sgmse models
  sgmse models --json
"""

import argparse
import json
import re
from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from sgmse.cli.options import Commands, command

if TYPE_CHECKING:
    from sgmse.checkpoints import Checkpoint

MEANING = """\
Means over mixtures of speakers and noises that no model was trained on; more is better. The
real-time factor is seconds for a second of audio on one thread: less is faster. -: not measured
in this way; its card says in which.

sgmse info MODEL says what a model is made of, and its folder, in which README.md is its card."""


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "models", run, __doc__)
    parser.json("a list of objects, one for each model,")


def run(options: argparse.Namespace) -> int:
    """Print each model with what it is for, then the ways to use them with what these reach."""
    from sgmse.checkpoints import PACKAGED, load_model

    checkpoints = {name: load_model(name) for name in PACKAGED}
    facts = [_facts(name, checkpoint) for name, checkpoint in checkpoints.items()]
    if options.json:
        print(json.dumps(facts))
        return 0
    for about in facts:
        size = f"{about['parameters'] / 1e6:.1f} M weights, {about['bytes'] / 1e6:.1f} MB"
        print(f"{about['model']}: {about['sample_rate']} Hz, {size}, {about['licence']}")
        print(fill(about["purpose"], 100, initial_indent="  ", subsequent_indent="  ") + "\n")
    print("\n".join(_table(checkpoints)))
    print(f"\n{MEANING}")
    return 0


def purpose(card: str) -> str:
    """The first paragraph below the title of a card, without the marks of links."""
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.S)
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", body)]
    first = next((part for part in paragraphs if part and not part.startswith("#")), "")
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(first.split())).replace("`", "")


def _facts(name: str, checkpoint: "Checkpoint") -> dict[str, Any]:
    from sgmse.checkpoints import locate

    folder = locate(name)
    networks = [checkpoint.model, checkpoint.upper_band]
    return {
        "model": name,
        "path": str(folder),
        "purpose": purpose((folder / "README.md").read_text("utf-8")),
        "sample_rate": checkpoint.front.sample_rate,
        "parameters": sum(p.numel() for part in networks if part for p in part.parameters()),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        "licence": checkpoint.licence or None,
        "qualities": {
            quality: {"model": own.model or name, **own.measured}
            for quality, own in checkpoint.qualities.items()
        },
    }


def _plainly(name: str, checkpoint: "Checkpoint") -> str:
    """The command of a model without qualities."""
    if checkpoint.model.deaf:
        return f"sgmse generate FILE --model {name}"
    return f"sgmse enhance FILE --model {name}"


def _table(checkpoints: "dict[str, Checkpoint]") -> list[str]:
    """How each is asked for, and what was measured of it, a line each."""
    ways: list[tuple[str, str, Mapping[str, float]]] = []
    for name, checkpoint in checkpoints.items():
        model = "" if name == "default" else f" --model {name}"
        for quality, own in checkpoint.qualities.items():
            plain = own.model is None and own.dry in (None, checkpoint.dry)
            usual = plain and own.sampler in (None, checkpoint.sampler)
            words = model if usual else f"{model} --quality {quality}"
            ways.append((f"sgmse enhance FILE{words}", own.model or name, own.measured))
    named = {name for _, name, _ in ways}
    ways += [
        (_plainly(name, own), name, {}) for name, own in checkpoints.items() if name not in named
    ]
    heads = list(dict.fromkeys(key for *_, measured in ways for key in measured))
    rows = [["", "model", *heads]]
    for line, name, measured in ways:
        rows.append([line, name, *(f"{measured[h]:g}" if h in measured else "-" for h in heads)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
