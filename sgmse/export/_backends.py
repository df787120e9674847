"""`accelerated`: an enhancer whose networks are computed by another runtime than torch.

All around the networks, transform, process, sampler, pieces, stays as it is. The graph of a network
is made once, held against torch, and kept in a folder by a digest of all that decides what it is:
weights, settings, versions. What pays differs from network to network and from processor to
processor (docs/export.md has what was measured); "auto" times it once, here.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from platform import processor
from statistics import median
from time import perf_counter
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from sgmse import __version__
from sgmse._checks import an, choice
from sgmse._extras import imported
from sgmse._files import whole
from sgmse.checkpoints import Checkpoint
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ExportError, MissingPackageError
from sgmse.export._export import TARGETS, Part, Runtime, export, held
from sgmse.export._frames import FrameGraph, RuntimeFrames, time_of
from sgmse.export._graphs import NetworkGraph, parts_of
from sgmse.export._loaders import LOADERS, PACKAGES, WHAT, Run
from sgmse.export._parts import exportable
from sgmse.export._runtimes import EXTRA
from sgmse.live import by_frames
from sgmse.model import assemble
from sgmse.networks import Network

Backend = Literal["torch", "onnx", "openvino", "auto"]
FRAMES, ROUNDS = 256, 5  # of the input that is timed, and how often
#: Makes the networks of an enhancer those of a runtime, in a folder, and says what takes its time.
Made = Callable[[Enhancer, Runtime, Path, Callable[[str], object]], Enhancer]


def cache_folder() -> Path:
    """Where graphs are kept: SGMSE_CACHE, or sgmse in the user's folder of caches."""
    if own := os.environ.get("SGMSE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sgmse"


class RuntimeNetwork(Network):
    """A network that a runtime computes, in single precision on the CPU, any number at once.

    Args:
        network: of which it is; its weights are left out here, their shapes stay.
        file: its graph.
        runtime: "onnx" or "openvino".
    """

    def __init__(self, network: Network, file: Path, runtime: str) -> None:
        super().__init__()
        self.divisor, self.observations = network.divisor, network.observations
        self.two_times, self.config = network.two_times, network.config
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # says where inputs go
        self.shapes = deepcopy(network).to("meta")
        self.file, self.runtime = file, runtime
        self._made: dict[int, Callable[[], Run]] = {}
        self._making, self._own = threading.Lock(), threading.local()

    @override
    def real_valued(self, x: Tensor, y: Tensor, t: Tensor, *s: Tensor) -> Tensor:
        named = dict(zip(("x", "y", "t", "s"), (x, y, t, *s), strict=False))
        inputs = {name: z.float().contiguous().numpy() for name, z in named.items()}
        return torch.from_numpy(self._run(inputs)[0])

    def _run(self, inputs: dict[str, Any]) -> list[Any]:
        """With the threads that this thread has, its share of the cores: see `sgmse._lanes`."""
        count = torch.get_num_threads()
        runs = cast("dict[int, Run]", self._own.__dict__)
        if count not in runs:
            with self._making:
                if count not in self._made:
                    self._made[count] = LOADERS[self.runtime](self.file, count)
            runs[count] = self._made[count]()
        return runs[count](inputs)


def accelerated(
    enhancer: Enhancer,
    backend: Backend = "auto",
    *,
    stream: bool = False,
    cache: str | Path | None = None,
    say: Callable[[str], object] | None = None,
) -> Enhancer:
    """The same enhancer with networks that a runtime computes.

        enhancer = accelerated(sgmse.load("published.ckpt"), "openvino")
        stream = Stream(accelerated(sgmse.load("live"), "onnx", stream=True), 48000)

    Args:
        enhancer: on the CPU, in single precision.
        backend: "onnx" or "openvino"; "torch" for the enhancer as it is; "auto" for what is
            quickest on this machine, of those that are installed.
        stream: for streams: of a causal model, which is made frame by frame, the graph is that of a
            frame, and recordings as a whole stay with torch; of others as without it.
        cache: folder of the graphs; `cache_folder()` if absent.
        say: is told what takes its time, and what was chosen.

    Raises:
        ExportError: a network has no graph, or one with other results than torch's.
        MissingPackageError: the runtime is not installed (extras `export`, `openvino`).
        ValueError: the enhancer is on a GPU or of another precision; no such backend.
    """
    an("enhancer", enhancer, Enhancer, "sgmse.load()")
    choice("backend", backend, get_args(Backend))
    if backend == "torch":
        return enhancer
    place = next(enhancer.model.parameters())
    if (
        place.device.type != "cpu"
        or enhancer.precision != "float32"
        or place.dtype != torch.float32
    ):
        raise ArgumentError(
            f"backend {backend!r} computes in float32 on the CPU, and the enhancer in "
            f"{enhancer.precision} on {place.device.type}; load it with device='cpu', or leave the "
            "backend out"
        )
    folder, tell = Path(cache) if cache is not None else cache_folder(), say or (lambda _: None)
    make: Made = _on_frames if stream and by_frames(enhancer) else _on
    if backend != "auto":
        return make(enhancer, backend, folder, tell)
    return _quickest(enhancer, make, folder, tell)


def _on_frames(
    enhancer: Enhancer, runtime: Runtime, folder: Path, say: Callable[[str], object]
) -> Enhancer:
    """With a frame of its network by that runtime."""
    network, time = exportable(enhancer.model.parts["network"]), time_of(enhancer)
    file = folder / f"{_digest(network, runtime, 'frame', time)}{TARGETS[runtime].suffix}"
    graph = FrameGraph(network, enhancer.front.transform.frequencies, time)
    if not all(file.with_suffix(suffix).exists() for suffix in TARGETS[runtime].suffixes):
        say(f"the graph of a frame is made for {runtime}, once: {file}")
        TARGETS[runtime].require()
        facts = {"sgmse": __version__, "kind": graph.kind, "name": file.stem} | graph.facts
        held(graph, runtime, file, {name: str(value) for name, value in facts.items()})
    own = RuntimeFrames(network, time, graph.size, file, LOADERS[runtime])
    return replace(enhancer, model=assemble(**enhancer.model.parts | {"network": own}).eval())


def _on(
    enhancer: Enhancer, runtime: Runtime, folder: Path, say: Callable[[str], object]
) -> Enhancer:
    checkpoint = Checkpoint(enhancer.model, enhancer.front, enhancer.sampler)
    own: dict[str, Network] = {}
    for name, part in parts_of(checkpoint).items():
        network = exportable(part)
        file = folder / f"{_digest(network, runtime)}{TARGETS[runtime].suffix}"
        if not all(file.with_suffix(suffix).exists() for suffix in TARGETS[runtime].suffixes):
            say(f"the graph of the {name} is made for {runtime}, once: {file}")
            part_name: Part = "predictor" if name == "predictor" else "network"
            export(checkpoint, file, to=runtime, part=part_name, overwrite=True)
        own[name] = RuntimeNetwork(network, file, runtime)
    return replace(enhancer, model=assemble(**enhancer.model.parts | own).eval())


def _digest(network: Network, runtime: Runtime, *more: object) -> str:
    """Of all that decides what a graph is."""
    package = PACKAGES[runtime]
    imported(package, WHAT, EXTRA if package == "onnxruntime" else package)
    about = [type(network).__qualname__, repr(network.config), __version__, runtime, *more]
    total = sha256(repr([*about, version(package), torch.__version__]).encode())
    for name, value in network.state_dict().items():
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:32]


def _quickest(
    enhancer: Enhancer, make: Made, folder: Path, say: Callable[[str], object]
) -> Enhancer:
    """The one that takes least time for its networks; asked once for a machine and its threads."""
    found: dict[str, Enhancer] = {"torch": enhancer}
    for runtime, package in PACKAGES.items():
        try:
            found[runtime] = make(enhancer, runtime, folder, say)
        except (ExportError, MissingPackageError) as error:
            say(f"without {package}: {error}")
    if len(found) == 1:
        return enhancer
    files = sorted(
        part.file.name
        for own in found.values()
        for part in own.model.parts.values()
        if isinstance(part, RuntimeNetwork | RuntimeFrames)
    )
    machine = [processor(), os.cpu_count(), torch.get_num_threads(), *files]
    note = folder / f"auto-{sha256(repr(machine).encode()).hexdigest()[:32]}.json"
    try:
        times = {name: float(own) for name, own in json.loads(note.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        times = {}
    if times.keys() != found.keys():
        times = _timed(found)
        with whole(note) as part:
            part.write_text(json.dumps(times), encoding="utf-8")
    name = min(times, key=lambda name: times[name])
    listed = ", ".join(f"{own} {seconds:.2f} s" for own, seconds in times.items())
    say(f"backend {name}: {FRAMES} frames take {listed}")
    return found[name]


def _timed(found: Mapping[str, Enhancer]) -> dict[str, float]:
    """Seconds of an evaluation of all networks, in rounds that alternate; medians."""
    inputs = {}
    for name, part in found["torch"].model.parts.items():
        if isinstance(part, Network):
            graph = NetworkGraph(part, found["torch"].front.transform.frequencies)
            inputs[name] = graph.example(1, FRAMES // 11, seed=0)
    parts = {name: {part: own.model.parts[part] for part in inputs} for name, own in found.items()}
    times = [p.time for own in parts.values() for p in own.values() if isinstance(p, RuntimeFrames)]
    steps: dict[str, list[Callable[[], object]]] = {}
    for name, own in parts.items():
        if times:  # frame by frame
            steps[name] = [partial(p.advancing(times[0]), *inputs[n][:2]) for n, p in own.items()]
        else:
            steps[name] = [partial(p.real_valued, *inputs[n]) for n, p in own.items()]
    taken: dict[str, list[float]] = {name: [] for name in found}
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):  # the first is to warm up
            for name, calls in steps.items():
                start = perf_counter()
                for call in calls:
                    call()
                taken[name].append(perf_counter() - start)
    return {name: median(own[1:]) for name, own in taken.items()}
