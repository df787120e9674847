"""`export`: a checkpoint as a file of another runtime, held against torch before it appears."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Literal, get_args

from sgmse import __version__
from sgmse._checks import arguments, choice, whole
from sgmse.checkpoints import Checkpoint
from sgmse.errors import ExportError
from sgmse.export._graphs import AudioGraph, Graph, NetworkGraph, parts_of
from sgmse.export._parts import spectrogram
from sgmse.export._runtimes import Onnx, OpenVino, Target, checked
from sgmse.export._step import StepGraph

Runtime = Literal["onnx", "openvino"]
Part = Literal["network", "predictor"]
TARGETS: Mapping[Runtime, Target] = {"onnx": Onnx(), "openvino": OpenVino()}

#: Of results to those of torch, relative to the largest value: beyond it there is no file.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: the file; of OpenVINO the one of two that is opened.
        difference: the largest one of its results to those of torch, relative to the largest
            value, over random inputs of two lengths and batches.
        shapes: of what goes in and comes out, by name; a name of an axis may be of any size.
        facts: what the file says of itself.
    """

    path: Path
    difference: float
    shapes: Mapping[str, str]
    facts: Mapping[str, str]


def check_target(target: str | Path, to: Runtime, overwrite: bool = False) -> Path:
    """The path, if it may be written for that runtime. Raises `ExportError`."""
    path, suffix = Path(target), TARGETS[to].suffix
    if path.suffix != suffix:
        raise ExportError(f"{path} must end in {suffix}; call it {path.with_suffix(suffix)}")
    for file in map(path.with_suffix, TARGETS[to].suffixes):
        if file.is_dir():
            raise ExportError(f"{file} is a folder; choose another name")
        if file.exists() and not overwrite:
            raise ExportError(
                f"{file} exists already; use --overwrite (overwrite=True) or choose another name"
            )
    return path


def export(
    checkpoint: Checkpoint,
    target: str | Path,
    *,
    to: Runtime = "onnx",
    audio: bool = False,
    stream: bool = False,
    part: Part | None = None,
    shifts: int | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a model for another runtime, in single precision.

    Batch and length are free, but for the step of a stream, which is of one hop.

    Args:
        checkpoint: as `sgmse.checkpoints.load_model` gives one.
        target: the file, .onnx or .xml (with a .bin beside it); its folder is made if absent.
        to: the runtime.
        audio: all from audio to audio, of a model whose sampler is one evaluation at the
            observation; else a network alone: x (batch, 2, frequency, frame), y (batch,
            2 observations, frequency, frame) and t (batch,) in, one like x out, where real and
            imaginary parts are channels.
        stream: the step of a stream, of a causal model of one evaluation: audio (1, hop) and a
            state (n,) in, those of the result and the next state out (`sgmse.export.runner`).
        part: which network, of a model with two: that of the process, or the predictor.
        shifts: with audio, how many places of the frames are averaged, if not as recommended.
        overwrite: replace a file that is there.

    Raises:
        ExportError: the model has no such export, the file exists, or its results are not those of
            torch to `TOLERANCE`; then there is no file, or the one that was there.
        MissingPackageError: the extra `export` is not installed.
    """
    arguments(export, locals())
    choice("to", to, get_args(Runtime))
    if checkpoint.model.deaf:
        raise ExportError(
            "the model is a prior of clean audio, whose network sees no recording: it has no "
            "export; draw from it here, sgmse generate or sgmse.Prior"
        )
    runtime, path = TARGETS[to], check_target(target, to, overwrite)
    if shifts is not None:
        whole("shifts", shifts, least=1)
        if not audio:
            raise ExportError("shifts are of the sampler, which is outside; leave them out")
        checkpoint = replace(checkpoint, sampler=replace(checkpoint.sampler, shifts=shifts))
    if audio and part is not None:
        raise ExportError("a file with --audio has all parts of a model; leave --part (part) out")
    if stream and (audio or part is not None):
        raise ExportError("--stream is a file of its own; leave --audio and --part out")
    runtime.require()
    model = deepcopy(checkpoint.model).cpu().float().eval().requires_grad_(False)
    checkpoint = replace(checkpoint, model=model)
    graph: Graph
    if stream:
        graph = StepGraph(checkpoint)
    else:
        graph = AudioGraph(checkpoint) if audio else _network(checkpoint, part)
    return held(graph, to, path, _facts(checkpoint, graph, part) | {"name": path.stem})


def held(graph: Graph, to: Runtime, path: Path, facts: Mapping[str, str]) -> Exported:
    """A graph as a file, once its results were held against those of torch.

    Raises `ExportError` where they are others.
    """
    runtime = TARGETS[to]
    made = runtime.made(graph.eval(), facts)
    error = checked(runtime, made, graph)
    if not error <= TOLERANCE:
        raise ExportError(
            f"the results of {to} differ from those of torch by {error:.1e} of the largest value, "
            f"more than {TOLERANCE:g}, at a length or batch other than that of which the graph was "
            "made; export a model whose network takes the same path at each, as SlimUNet and NCSNpp"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return Exported(runtime.write(made, path), error, runtime.shapes(made), facts)


def _network(checkpoint: Checkpoint, part: Part | None) -> Graph:
    """One network alone. Raises `ExportError`."""
    networks = parts_of(checkpoint)
    if part is None and len(networks) > 1:
        raise ExportError(
            "the model has two networks: export each, --part predictor and --part network "
            '(part="predictor", part="network"), or all in one with --audio (audio=True)'
        )
    name = part or "network"
    if name not in networks:
        raise ExportError(f"the model has no {name}; leave --part (part) out")
    return NetworkGraph(networks[name], checkpoint.front.transform.frequencies)


def _facts(checkpoint: Checkpoint, graph: Graph, part: Part | None) -> dict[str, str]:
    """What a file says of itself: all that one needs around its network."""
    front, model, sampler = checkpoint.front, checkpoint.model, checkpoint.sampler
    transform = spectrogram(front)
    facts = {
        "sgmse": __version__,
        "kind": graph.kind,
        "part": part,
        "licence": checkpoint.licence or "not stated",
        "sample_rate": front.sample_rate,
        "n_fft": transform.n_fft,
        "hop": transform.hop,
        "window": transform.window,
        "ends": transform.ends,
        "compression": transform.compression,
        "padding": front.padding,
        "tail": front.tail,
        "level": front.level,
        "frames_multiple": lcm(front.multiple, model.divisor[1]),
        "process": model.sde,
        "estimate": model.parametrization,
        "latest": f"{model.latest:g}",
        "solver": sampler.solver,
        "grid": sampler.grid,
        "shifts": sampler.shifts,
        "conditioning": model.parts.get("conditioning"),
        "moved": model.parts.get("moved"),
    } | graph.facts
    return {name: str(value) for name, value in facts.items() if value is not None}
