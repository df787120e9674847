"""Enhancers whose networks a runtime computes."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import sgmse
from sgmse.audio import read
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ExportError, MissingPackageError
from sgmse.export import RuntimeNetwork, _backends, accelerated, cache_folder
from sgmse.front import FrontEnd
from sgmse.networks import NCSNpp, Network, SlimUNet
from sgmse.transforms import Spectrogram

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

pytestmark = pytest.mark.filterwarnings("ignore::sgmse.errors.ResultWarning")  # of random weights
NOISY = Path(__file__).resolve().parent.parent / "data" / "noisy.wav"
CLOSE = 1e-5  # of results to those of torch, relative to the largest value


@pytest.fixture
def enhancer() -> Enhancer:
    torch.manual_seed(0)
    network = SlimUNet((4, 8), (1, 1), dual_paths=1, embedding=8, taps=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    checkpoint = tiny.checkpoint(network.eval().requires_grad_(False))
    return replace(Enhancer.of(checkpoint), force=True)


@pytest.fixture
def noisy() -> np.ndarray:
    t = np.arange(24000) / 16000
    rng = np.random.default_rng(0)
    voice = 0.1 * np.sin(2 * np.pi * 150 * t) * np.sin(2 * np.pi * 3 * t) ** 2
    return (voice + 0.01 * rng.standard_normal(len(t))).astype(np.float32)


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return float(np.abs(ours - theirs).max()) < CLOSE * float(np.abs(theirs).max())


def installed(backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_results_are_those_of_torch(backend, enhancer, noisy, tmp_path):
    installed(backend)
    said: list[str] = []
    quick = accelerated(enhancer, backend, cache=tmp_path, say=said.append)
    assert isinstance(quick.model.parts["network"], RuntimeNetwork)
    assert not isinstance(enhancer.model.parts["network"], RuntimeNetwork)
    for length in (24000, 9000, 15111):
        assert close(quick(noisy[:length], 16000), enhancer(noisy[:length], 16000))
    stereo = np.stack([noisy, noisy[::-1]])
    assert close(quick(stereo, 16000), enhancer(stereo, 16000))
    assert len(said) == 1
    assert str(tmp_path) in said[0]
    accelerated(enhancer, backend, cache=tmp_path, say=said.append)
    assert len(said) == 1, "the graph was made anew"


@pytest.mark.slow
def test_other_weights_are_another_graph(enhancer, noisy, tmp_path):
    accelerated(enhancer, "onnx", cache=tmp_path)
    with torch.no_grad():
        next(enhancer.model.parameters()).mul_(1.5)
    quick = accelerated(enhancer, "onnx", cache=tmp_path)
    assert close(quick(noisy, 16000), enhancer(noisy, 16000))
    assert len(list(tmp_path.glob("*.onnx"))) == 2


@pytest.mark.slow
def test_threads_share_what_is_loaded(enhancer, noisy, tmp_path, monkeypatch):
    loads = []

    def counting(file, threads):
        loads.append(threads)
        return load(file, threads)

    load = _backends.LOADERS["onnx"]
    monkeypatch.setattr(_backends, "LOADERS", {"onnx": counting})
    quick = accelerated(enhancer, "onnx", cache=tmp_path)
    expected = enhancer(noisy, 16000)
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(quick(noisy, 16000))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(close(result, expected) for result in results)
    assert len(loads) == len(set(loads))  # once for each number of threads


@pytest.mark.slow
def test_the_quickest_is_taken_and_remembered(enhancer, tmp_path, monkeypatch):
    told = {"torch": 2.0, "onnx": 1.0, "openvino": 3.0}
    asked = []

    def timed(found):
        asked.append(sorted(found))
        return {name: told[name] for name in found}

    monkeypatch.setattr(_backends, "_timed", timed)
    said: list[str] = []
    first = accelerated(enhancer, "auto", cache=tmp_path, say=said.append)
    again = accelerated(enhancer, "auto", cache=tmp_path, say=said.append)
    assert len(asked) == 1
    for quick in (first, again):
        assert quick.model.parts["network"].runtime == "onnx"
    assert said[-1].startswith("backend onnx: 256 frames take torch 2.00 s, onnx 1.00 s")
    (note,) = tmp_path.glob("auto-*.json")
    note.write_text("[]")  # damaged
    told["onnx"] = 9.0
    assert accelerated(enhancer, "auto", cache=tmp_path) is enhancer
    assert json.loads(note.read_text())["onnx"] == 9.0


@pytest.mark.slow
def test_times_are_those_of_evaluations(enhancer, tmp_path):
    found = {"torch": enhancer, "onnx": accelerated(enhancer, "onnx", cache=tmp_path)}
    times = _backends._timed(found)
    assert times.keys() == found.keys()
    assert all(0 < seconds < 10 for seconds in times.values())


def test_torch_is_the_enhancer_as_it_is(enhancer):
    assert accelerated(enhancer, "torch") is enhancer


def test_what_cannot_be_is_refused(enhancer, tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="backend must be"):
        accelerated(enhancer, "tensorrt", cache=tmp_path)
    with pytest.raises(ArgumentError, match="computes in float32 on the CPU"):
        accelerated(replace(enhancer, precision="bf16"), "onnx", cache=tmp_path)

    class Complex(Network):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(1))

        def forward(self, x, y, t):
            return y * self.gain

    odd = Enhancer.of(tiny.checkpoint(Complex()))
    with pytest.raises(ExportError, match="computes with complex numbers"):
        accelerated(odd, "onnx", cache=tmp_path)
    assert accelerated(odd, "auto", cache=tmp_path) is odd
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[export\]'"):
        accelerated(enhancer, "onnx", cache=tmp_path)


def test_the_folder_of_graphs(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sgmse"
    monkeypatch.setenv("SGMSE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize("backend", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_network_that_is_asked_at_many_times(backend, tmp_path):
    """OpenVINO may call t otherwise, after the embedding that was made of it."""
    installed(backend)
    torch.manual_seed(0)
    small = {"channels": 8, "multipliers": (1, 1), "blocks": 1, "attention_resolutions": ()}
    network = NCSNpp.v1(**small).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    checkpoint = replace(tiny.checkpoint(network), front=FrontEnd(Spectrogram(510, 128), 16000))
    enhancer = Enhancer.of(checkpoint)
    quick = accelerated(enhancer, backend, cache=tmp_path).model.parts["network"]
    x, y = torch.randn(2, 3, 1, 256, 16, dtype=torch.complex64)
    t = torch.tensor([0.1, 0.5, 0.9])
    with torch.inference_mode():
        ours, theirs = quick(x, y, t), network(x, y, t)
    assert (ours - theirs).abs().max() < CLOSE * theirs.abs().max()


@pytest.mark.slow
def test_the_models_of_the_package(tmp_path):
    noisy = read(NOISY)[0][0, :32000].astype(np.float32)
    for name in ("default", "restore"):
        enhancer = sgmse.load(name)
        quick = accelerated(enhancer, "onnx", cache=tmp_path)
        assert close(quick(noisy, 16000), enhancer(noisy, 16000))


@pytest.mark.slow
def test_the_command_line_takes_a_backend(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SGMSE_CACHE", str(tmp_path / "cache"))
    made = {}
    for backend in ("torch", "onnx"):
        target = tmp_path / f"{backend}.wav"
        arguments = ["enhance", str(NOISY), "-o", str(target), "--backend", backend, "-j", "1"]
        assert main([*arguments, "--shifts", "1"]) == 0
        made[backend] = read(target)[0]
    assert "the graph of the network is made for onnx, once" in capsys.readouterr().err
    step = 2.0**-15  # of 16 bits
    assert np.abs(made["onnx"] - made["torch"]).max() < 1.1 * step
    assert len(list((tmp_path / "cache").glob("*.onnx"))) == 2  # its networks
    with pytest.raises(SystemExit, match="2"):
        main(["enhance", str(NOISY), "--backend", "tensorrt"])
    assert "must be one of torch, onnx, openvino, auto" in capsys.readouterr().err
