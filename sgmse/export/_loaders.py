"""Graphs in files as functions, in single precision on the CPU and with so many threads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sgmse._extras import imported
from sgmse.export._export import Runtime
from sgmse.export._runtimes import EXTRA

#: The package of each runtime.
PACKAGES: Mapping[Runtime, str] = {"onnx": "onnxruntime", "openvino": "openvino"}
WHAT = "a backend"
#: Inputs by their names, to all that comes out, which is the caller's.
Run = Callable[[dict[str, Any]], list[Any]]


def _onnx(file: Path, threads: int) -> Callable[[], Run]:
    """Makes runs, one for each thread; what is loaded is common to them."""
    runtime = imported("onnxruntime", WHAT, EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # quiet is as quick
    session = runtime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    heard = [item.name for item in session.get_inputs()]  # not each network hears all

    def run(inputs: dict[str, Any]) -> list[Any]:
        return list(session.run(None, {name: inputs[name] for name in heard}))

    return lambda: run


def _openvino(file: Path, threads: int) -> Callable[[], Run]:
    openvino = imported("openvino", WHAT, "openvino")
    # It would compute in bf16 where the CPU can.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.compile_model(str(file), "CPU", settings)
    # An input has several names once the graph was optimised, one of which is ours.
    heard = [next(iter(item.names & {"x", "y", "t", "s", "state"})) for item in compiled.inputs]

    def fresh() -> Run:
        request = compiled.create_infer_request()

        def run(inputs: dict[str, Any]) -> list[Any]:
            made = request.infer([inputs[name] for name in heard]).values()
            return [z.copy() for z in made]  # it writes the next results to the same place

        return run

    return fresh


LOADERS: Mapping[str, Callable[[Path, int], Callable[[], Run]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
}
