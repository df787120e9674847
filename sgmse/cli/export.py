"""Write a model for a runtime without torch: ONNX, or OpenVINO.

A network alone, around which a sampler of yours runs: x and y (batch, parts, frequency, frame) and
t (batch,) in, one like x out, where real and imaginary parts are channels. Or with --audio all that
is between audio and audio, of a model whose sampler is one evaluation, as that of the default is.
Or with --stream the step of a stream, of a causal model: a hop of audio and a state in, a hop of
the result and the next state out; --runner and --page write what runs it beside it, in Python
without torch and in a browser. Batch and length are free but for that; the file says its sample
rate, spectrogram, sampler and licence. It appears once its results have been found equal to those
of torch, on random inputs of two lengths.

examples:
  sgmse export default default.onnx --audio
  sgmse export runs/mine/best network.onnx
  sgmse export default predictor.onnx --part predictor
  sgmse export default default.xml --to openvino --audio
  sgmse export live web/step.onnx --stream --runner --page
"""

import argparse

from sgmse.cli.options import MODEL, Commands, command, count


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = command(commands, "export", run, __doc__)
    parser.value("model", "MODEL", MODEL)
    parser.value("target", "FILE", "what is written, .onnx or .xml (with a .bin beside it)")
    parser.value(
        "--to", "RUNTIME", "onnx or openvino", default="onnx", choices=("onnx", "openvino")
    )
    parser.flag("--audio", "with all that is between audio and audio")
    parser.flag("--stream", "the step of a stream: audio and state in, audio and state out")
    parser.flag("--runner", "with --stream: runner.py beside it, which needs onnxruntime alone")
    parser.flag("--page", "with --stream: a page beside it (index.html) that runs it in a browser")
    parser.value(
        "--part",
        "PART",
        "of a model with two networks: network, that of the process, or predictor",
        choices=("network", "predictor"),
    )
    parser.value(
        "--shifts",
        "N",
        "with --audio: places of the frames that are averaged (default: as the model recommends)",
        count,
    )
    parser.compat()
    parser.overwrite("a file that is there")


def run(options: argparse.Namespace) -> int:
    """Write one model."""
    from sgmse.checkpoints import load_model
    from sgmse.export import (
        NPM,
        ExportError,
        check_beside,
        check_target,
        export,
        write_page,
        write_runner,
    )

    runner, page = options.runner, options.page
    if (runner or page) and not (options.stream and options.to == "onnx"):
        raise ExportError("--runner and --page run an ONNX step of a stream; add --stream")
    path = check_target(options.target, options.to, options.overwrite)  # before the model loads
    check_beside(path, runner=runner, page=page, overwrite=options.overwrite)
    exported = export(
        load_model(options.model, compat=options.compat),
        options.target,
        to=options.to,
        audio=options.audio,
        stream=options.stream,
        part=options.part,
        shifts=options.shifts,
        overwrite=options.overwrite,
    )
    what = ", ".join(f"{name} {shape}" for name, shape in exported.shapes.items())
    print(
        f"{options.model} -> {exported.path}  ({what}; differs from torch by "
        f"{exported.difference:.1e} at most, relative to the largest value)"
    )
    if runner:
        print(f"  {write_runner(exported.path)}: python runner.py {path.name} noisy.wav clean.wav")
    if page:
        folder = write_page(exported.path, exported.facts).parent
        print(
            f"  {folder / 'index.html'}: {NPM.format(folder=folder)}, then "
            f"python -m http.server --bind 127.0.0.1 --directory {folder}"
        )
    return 0
