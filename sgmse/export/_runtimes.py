"""The runtimes: how a graph is written for each, and what each makes of its inputs."""

import io
import os
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from sgmse._extras import imported
from sgmse._files import whole
from sgmse.errors import ExportError
from sgmse.export._graphs import Graph, Run

WHAT, EXTRA = "an export", "export"
OPSET = 17  # of ONNX, with which normalisation is one operator


class Target(ABC):
    """A runtime: its form of a graph."""

    #: Of the file that is opened, and of all.
    suffix: str
    suffixes: tuple[str, ...]

    @abstractmethod
    def require(self) -> None:
        """Raise `MissingPackageError` unless its packages are there."""

    @abstractmethod
    def made(self, graph: Graph, facts: Mapping[str, str]) -> Any:
        """The model in the form of the runtime. Raises `ExportError`."""

    @abstractmethod
    def shapes(self, model: Any) -> dict[str, str]:
        """What it takes and gives, by name: an input that a network does not hear is not there."""

    @abstractmethod
    def opened(self, model: Any) -> Run:
        """The model in the runtime, in single precision on the CPU."""

    @abstractmethod
    def write(self, model: Any, path: Path) -> Path:
        """Write the model, whole or not at all."""


class Onnx(Target):
    """One file, .onnx; run by onnxruntime."""

    suffix = ".onnx"
    suffixes = (".onnx",)

    @override
    def require(self) -> None:
        for package in ("onnx", "onnxruntime"):
            imported(package, WHAT, EXTRA)

    @override
    def made(self, graph: Graph, facts: Mapping[str, str]) -> Any:
        onnx = imported("onnx", WHAT, EXTRA)
        model = onnx.load_from_string(traced(graph))
        onnx.helper.set_model_props(model, dict(facts))
        model.producer_name, model.producer_version = "sgmse", facts["sgmse"]
        onnx.checker.check_model(model)
        return model

    @override
    def shapes(self, model: Any) -> dict[str, str]:
        return {
            item.name: _shape([d.dim_param or d.dim_value for d in item.type.tensor_type.shape.dim])
            for item in (*model.graph.input, *model.graph.output)
        }

    @override
    def opened(self, model: Any) -> Run:
        runtime = imported("onnxruntime", WHAT, EXTRA)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return lambda inputs: list(session.run(None, dict(inputs)))

    @override
    def write(self, model: Any, path: Path) -> Path:
        with whole(path) as part:
            part.write_bytes(model.SerializeToString())
        return path


class OpenVino(Target):
    """Two files, .xml and .bin beside it; made of the graph that ONNX has."""

    suffix = ".xml"
    suffixes = (".xml", ".bin")

    @override
    def require(self) -> None:
        Onnx().require()
        imported("openvino", WHAT, "openvino")

    @override
    def made(self, graph: Graph, facts: Mapping[str, str]) -> Any:
        openvino = imported("openvino", WHAT, "openvino")
        model = openvino.Core().read_model(Onnx().made(graph, facts).SerializeToString())
        for name, value in facts.items():
            model.set_rt_info(value, ["sgmse", name])
        return model

    @override
    def shapes(self, model: Any) -> dict[str, str]:
        return {
            item.any_name: _shape([str(d) for d in item.partial_shape])
            for item in (*model.inputs, *model.outputs)
        }

    @override
    def opened(self, model: Any) -> Run:
        openvino = imported("openvino", WHAT, "openvino")
        # It would compute in bf16 where the CPU can.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = openvino.compile_model(model, "CPU", settings)
        return lambda inputs: [np.array(z) for z in compiled(dict(inputs)).values()]

    @override
    def write(self, model: Any, path: Path) -> Path:
        openvino = imported("openvino", WHAT, "openvino")
        weights = path.with_suffix(".bin")
        with TemporaryDirectory() as folder, whole(path) as graph, whole(weights) as values:
            written = Path(folder, "model.xml"), Path(folder, "model.bin")  # it insists on these
            openvino.serialize(model, *written)
            for file, part in zip(written, (graph, values), strict=True):
                copyfile(file, part)
        return path


def _shape(sizes: Sequence[object]) -> str:
    """As (batch, 2, 256, frames)."""
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


@contextmanager
def _hushed() -> Iterator[None]:
    """Without what the tracer prints, past Python, where it fails: all of the graph."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def traced(graph: Graph) -> bytes:
    """The graph as ONNX, with its axes of any size. Raises `ExportError`."""
    inputs = graph.sample()
    buffer: Any = io.BytesIO()  # which it takes, whatever its annotation says
    try:
        # The tracer: the newer exporter writes the sizes of the example into the LSTMs.
        # And with gradients: without, networks may divide their work by the size of the input.
        with _hushed(), warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                inputs,
                buffer,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes={**graph.inputs, **graph.outputs},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        why = " ".join(str(error).split("\n")[0].split())[:200]
        raise ExportError(
            f"there is no ONNX of this {graph.kind} ({type(error).__name__}: {why}); export a "
            "SlimUNet or an NCSNpp, or the step of a causal model (--stream)"
        ) from error
    content: bytes = buffer.getvalue()
    return content


def checked(target: Target, model: Any, graph: Graph) -> float:
    """The largest relative difference to torch, over random inputs. Raises `ExportError`."""
    heard = target.shapes(model)
    run = target.opened(model)

    def tried(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            return run({name: z for name, z in inputs.items() if name in heard})
        except Exception as error:  # a class of errors for each runtime, of no common base
            why = " ".join(str(error).split())[:200]
            raise ExportError(
                f"the runtime refuses inputs of another length than those of which the graph was "
                f"made ({why}); export a SlimUNet or an NCSNpp"
            ) from error

    return graph.error(tried)
