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
from sgmse.export._export import TARGETS, Part, Runtime, export
from sgmse.export._graphs import NetworkGraph, parts_of
from sgmse.export._parts import exportable
from sgmse.export._runtimes import EXTRA
from sgmse.model import assemble
from sgmse.networks import Network

Backend = Literal["torch", "onnx", "openvino", "auto"]
#: The package of each runtime.
PACKAGES: Mapping[Runtime, str] = {"onnx": "onnxruntime", "openvino": "openvino"}
WHAT = "a backend"
FRAMES, ROUNDS = 256, 5  # of the input that is timed, and how often
#: The inputs of a network by their names, and what it makes of them.
Run = Callable[[dict[str, Any]], Any]


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
        return torch.from_numpy(self._run(inputs).copy())

    def _run(self, inputs: dict[str, Any]) -> Any:
        """With the threads that this thread has, its share of the cores: see `sgmse._lanes`."""
        count = torch.get_num_threads()
        runs = cast("dict[int, Run]", self._own.__dict__)
        if count not in runs:
            with self._making:
                if count not in self._made:
                    self._made[count] = LOADERS[self.runtime](self.file, count)
            runs[count] = self._made[count]()
        return runs[count](inputs)


def _onnx(file: Path, threads: int) -> Callable[[], Run]:
    """Makes runs, one for each thread; what is loaded is common to them."""
    runtime = imported("onnxruntime", WHAT, EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    heard = [item.name for item in session.get_inputs()]  # not each network hears all

    def run(inputs: dict[str, Any]) -> Any:
        return session.run(None, {name: inputs[name] for name in heard})[0]

    return lambda: run


def _openvino(file: Path, threads: int) -> Callable[[], Run]:
    openvino = imported("openvino", WHAT, "openvino")
    # It would compute in bf16 where the CPU can.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.compile_model(str(file), "CPU", settings)
    # An input has several names once the graph was optimised, one of which is ours.
    heard = [next(iter(item.names & {"x", "y", "t", "s"})) for item in compiled.inputs]

    def fresh() -> Run:
        request = compiled.create_infer_request()

        def run(inputs: dict[str, Any]) -> Any:
            return request.infer([inputs[name] for name in heard])[0]

        return run

    return fresh


LOADERS: Mapping[str, Callable[[Path, int], Callable[[], Run]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
}


def accelerated(
    enhancer: Enhancer,
    backend: Backend = "auto",
    *,
    cache: str | Path | None = None,
    say: Callable[[str], object] | None = None,
) -> Enhancer:
    """The same enhancer with networks that a runtime computes.

        enhancer = accelerated(sgmse.load("published.ckpt"), "openvino")

    Args:
        enhancer: on the CPU, in single precision.
        backend: "onnx" or "openvino"; "torch" for the enhancer as it is; "auto" for what is
            quickest on this machine, of those that are installed.
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
    if backend != "auto":
        return _on(enhancer, backend, folder, tell)
    return _quickest(enhancer, folder, tell)


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


def _digest(network: Network, runtime: Runtime) -> str:
    """Of all that decides what a graph is."""
    package = PACKAGES[runtime]
    imported(package, WHAT, EXTRA if package == "onnxruntime" else package)
    about = [type(network).__qualname__, repr(network.config), __version__, runtime]
    total = sha256(repr([*about, version(package), torch.__version__]).encode())
    for name, value in network.state_dict().items():
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:32]


def _quickest(enhancer: Enhancer, folder: Path, say: Callable[[str], object]) -> Enhancer:
    """The one that takes least time for its networks; asked once for a machine and its threads."""
    found: dict[str, Enhancer] = {"torch": enhancer}
    for runtime, package in PACKAGES.items():
        try:
            found[runtime] = _on(enhancer, runtime, folder, say)
        except (ExportError, MissingPackageError) as error:
            say(f"without {package}: {error}")
    if len(found) == 1:
        return enhancer
    files = sorted(
        part.file.name
        for own in found.values()
        for part in own.model.parts.values()
        if isinstance(part, RuntimeNetwork)
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
    taken: dict[str, list[float]] = {name: [] for name in found}
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):  # the first is to warm up
            for name, enhancer in found.items():
                start = perf_counter()
                for part, values in inputs.items():
                    enhancer.model.parts[part].real_valued(*values)
                taken[name].append(perf_counter() - start)
    return {name: median(own[1:]) for name, own in taken.items()}
