"""List the models in the package: what each is for, costs and reaches.

All of it is what the models themselves say: their configs, weights and cards.

examples:
  sgmse models
  sgmse models --json
"""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Any

from sgmse.cli.options import Commands, command

if TYPE_CHECKING:
    from sgmse.checkpoints import Checkpoint, Effect, Quality

MEANING = """\
Means over mixtures of speakers and noises that no model was trained on; more is better. Of lines
without a table the first number is of the recordings as they are, the second of the results. The
real-time factor is seconds for a second of audio on one thread: less is faster.

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
    print()
    print("\n".join(_effects(checkpoints)))
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
            quality: {"model": own.model or name, **own.measured, **_told(own.effect)}
            for quality, own in checkpoint.qualities.items()
        },
        **_told(checkpoint.effect),
    }


def _told(effect: "Effect | None") -> dict[str, Any]:
    return {} if effect is None else {"effect": asdict(effect)}


def _plainly(name: str, checkpoint: "Checkpoint") -> str:
    """The command of a model without qualities."""
    if checkpoint.model.deaf:
        return f"sgmse generate FILE --model {name}"
    return f"sgmse enhance FILE --model {name}"


def _ways(checkpoints: "dict[str, Checkpoint]") -> Iterator[tuple[str, str, "Quality"]]:
    """How each is asked for, the model that is used then, and what was measured of it."""
    from sgmse.checkpoints import Quality

    named = set()
    for name, checkpoint in checkpoints.items():
        model = "" if name == "default" else f" --model {name}"
        for quality, own in checkpoint.qualities.items():
            plain = own.model is None and own.dry in (None, checkpoint.dry)
            plain &= own.strength in (None, checkpoint.strength)
            usual = plain and own.sampler in (None, checkpoint.sampler)
            words = model if usual else f"{model} --quality {quality}"
            named.add(own.model or name)
            yield f"sgmse enhance FILE{words}", own.model or name, own
    for name, checkpoint in checkpoints.items():
        if name not in named:
            yield _plainly(name, checkpoint), name, Quality(effect=checkpoint.effect)


def _table(checkpoints: "dict[str, Checkpoint]") -> list[str]:
    """What was measured of each on the same recordings, a line each."""
    ways = [way for way in _ways(checkpoints) if way[2].measured]
    heads = list(dict.fromkeys(key for *_, own in ways for key in own.measured))
    rows = [["", "model", *heads]]
    for line, name, own in ways:
        cells = (f"{own.measured[h]:g}" if h in own.measured else "-" for h in heads)
        rows.append([line, name, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _effects(checkpoints: "dict[str, Checkpoint]") -> list[str]:
    """What was measured of the others, each on recordings of its own: before -> after."""
    lines = []
    for line, _, own in _ways(checkpoints):
        if own.effect is not None:
            lines += [f"{line}: {own.effect.recordings}", f"  {changes(own.effect)}"]
        elif not own.measured:
            lines.append(f"{line}: what it brings is in its card")
    return lines


def changes(effect: "Effect") -> str:
    """Scores of recordings and of their results: "PESQ-WB 1.332 -> 1.683, SI-SDR 5.16 -> 11.64"."""
    before = {name: f"{value:g} -> " for name, value in effect.before.items()}
    return ", ".join(f"{m} {before.get(m, '')}{value:g}" for m, value in effect.after.items())
