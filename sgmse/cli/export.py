"""Write a model for a runtime without torch: ONNX, or OpenVINO.

A network alone, around which a sampler of yours runs: x and y (batch, parts, frequency, frame) and
t (batch,) in, one like x out, where real and imaginary parts are channels. Or with --audio all that
is between audio and audio, of a model whose sampler is one evaluation, as that of the default is.
Batch and length are free; the file says its sample rate, spectrogram, sampler and licence. It
appears once its results have been found equal to those of torch, on random inputs of two lengths.

examples:
  sgmse export default default.onnx --audio
  sgmse export runs/mine/best network.onnx
  sgmse export refine predictor.onnx --part predictor
  sgmse export default default.xml --to openvino --audio
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
    from sgmse.export import check_target, export

    check_target(options.target, options.to, options.overwrite)  # before the model loads
    exported = export(
        load_model(options.model, compat=options.compat),
        options.target,
        to=options.to,
        audio=options.audio,
        part=options.part,
        shifts=options.shifts,
        overwrite=options.overwrite,
    )
    what = ", ".join(f"{name} {shape}" for name, shape in exported.shapes.items())
    print(
        f"{options.model} -> {exported.path}  ({what}; differs from torch by "
        f"{exported.difference:.1e} at most, relative to the largest value)"
    )
    return 0
