"""Streams whose frames a runtime computes."""

import io
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from sgmse.checkpoints import save
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer
from sgmse.errors import ExportError, MissingPackageError
from sgmse.export import RuntimeNetwork, _backends, accelerated
from sgmse.export._frames import FrameGraph, RuntimeFrames, time_of
from sgmse.live import Stream
from sgmse.networks import SlimUNet
from sgmse.solvers import Uniform

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

RATE = tiny.RATE
CLOSE = 1e-5  # of results to those of torch, relative to the largest value


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    return replace(Enhancer.of(tiny.causal_checkpoint()), force=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def quick(enhancer, folder) -> Enhancer:
    return accelerated(enhancer, "onnx", stream=True, cache=folder)


def sound(samples: int, channels: int = 1) -> np.ndarray:
    swell = 0.01 + np.sin(np.linspace(0, 9, samples)) ** 2
    noise = np.random.default_rng(samples).standard_normal((channels, samples))
    return (0.1 * swell * noise).astype(np.float32)


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return float(np.abs(ours - theirs).max()) < CLOSE * float(np.abs(theirs).max())


@pytest.mark.slow
@pytest.mark.parametrize("rate", [RATE, 3 * RATE])
def test_a_stream_is_that_of_torch(enhancer, quick, rate):
    audio = sound(1500, channels=2)
    stream, theirs = Stream(quick, rate), Stream(enhancer, rate)
    whole = stream.whole(audio)
    assert stream.delay == theirs.delay
    assert close(whole, theirs.whole(audio))
    blocks = [stream(block) for block in np.array_split(audio, 11, axis=1)]
    made = np.concatenate([*blocks, stream.flush()], axis=1)
    assert np.array_equal(made[:, stream.delay :], whole)


@pytest.mark.slow
def test_the_graph_is_made_once_and_a_recording_as_a_whole_stays_with_torch(
    enhancer, quick, folder
):
    said: list[str] = []
    again = accelerated(enhancer, "onnx", stream=True, cache=folder, say=said.append)
    assert not said
    assert isinstance(again.model.parts["network"], RuntimeFrames)
    audio = sound(500)
    assert np.array_equal(again(audio, RATE), enhancer(audio, RATE))
    assert len(list(folder.glob("*.onnx"))) == 1


@pytest.mark.slow
def test_streams_of_several_threads_are_those_of_one(quick):
    sounds = [sound(600 + n) for n in range(4)]
    expected = [Stream(quick, RATE).whole(audio) for audio in sounds]
    made: dict[int, np.ndarray] = {}

    def work(n: int) -> None:
        made[n] = Stream(quick, RATE).whole(sounds[n])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(made[n], expected[n]) for n in range(4))


@pytest.mark.slow
def test_openvino_gives_it_too(enhancer, tmp_path):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    quick = accelerated(enhancer, "openvino", stream=True, cache=tmp_path)
    streams = [Stream(quick, RATE) for _ in range(2)]
    blocks = [sound(100 + n) for n in range(10)]
    made = [[stream(block) for block in blocks] for stream in streams]  # one after the other
    turns = [[], []]
    for stream in streams:
        stream.reset()
    for block in blocks:  # and in turn
        for out, stream in zip(turns, streams, strict=True):
            out.append(stream(block))
    theirs = Stream(enhancer, RATE)
    expected = np.concatenate([theirs(block) for block in blocks], axis=1)
    for out in (*made, *turns):
        assert close(np.concatenate(out, axis=1), expected)


@pytest.mark.slow
def test_results_that_differ_are_refused(enhancer, tmp_path, monkeypatch):
    monkeypatch.setattr(FrameGraph, "error", lambda self, run: 2e-4)
    with pytest.raises(ExportError, match="differ from those of torch by"):
        accelerated(enhancer, "onnx", stream=True, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_frame_of_another_state_is_seen(enhancer):
    """The check runs a recording: an error that only the state has is found."""
    graph = FrameGraph(enhancer.model.parts["network"], 16, time_of(enhancer))

    def run(inputs):
        state = torch.from_numpy(inputs["state"] * np.float32(0.99))
        out, after = graph(torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["y"]), state)
        return [out.detach().numpy(), after.detach().numpy()]

    assert graph.error(run) > 1e-4


@pytest.mark.slow
def test_other_models_have_the_graph_of_their_network(tmp_path):
    torch.manual_seed(0)
    network = SlimUNet((4, 8), (1, 1), dual_paths=1, embedding=8, taps=3).eval()
    windows = replace(Enhancer.of(tiny.checkpoint(network)), force=True)
    quick = accelerated(windows, "onnx", stream=True, cache=tmp_path)
    assert isinstance(quick.model.parts["network"], RuntimeNetwork)
    steps = tiny.with_sampler(tiny.causal(), grid=Uniform(2, end=0.0))
    with pytest.raises(ExportError, match="more than one evaluation a frame"):
        accelerated(steps, "onnx", stream=True, cache=tmp_path)


@pytest.mark.slow
def test_auto_falls_back_in_a_line(enhancer, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(_backends, "PACKAGES", {"onnx": "onnxruntime"})
    monkeypatch.setattr(_backends, "_timed", lambda found: {"torch": 1.0, "onnx": 0.5})
    chosen = accelerated(enhancer, "auto", stream=True, cache=tmp_path, say=said.append)
    assert isinstance(chosen.model.parts["network"], RuntimeFrames)
    assert said[-1].startswith("backend onnx: ")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said.clear()
    assert accelerated(enhancer, "auto", stream=True, cache=tmp_path, say=said.append) is enhancer
    assert said[0].startswith("without onnxruntime: a backend needs the package 'onnxruntime'")
    with pytest.raises(MissingPackageError, match=r"pip install 'sgmse-toolkit\[export\]'"):
        accelerated(enhancer, "onnx", stream=True, cache=tmp_path)


@pytest.mark.slow
def test_times_are_those_of_frames(enhancer, quick):
    times = _backends._timed({"torch": enhancer, "onnx": quick})
    assert times.keys() == {"torch", "onnx"}
    assert all(0 < seconds < 10 for seconds in times.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sgmse.errors.ResultWarning")
def test_the_command_line_streams_by_a_backend(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("SGMSE_CACHE", str(tmp_path / "cache"))
    model = save(tiny.causal_checkpoint(), tmp_path / "causal")
    content = (2**15 * sound(1000)[0]).astype("<i2").tobytes()
    made = {}
    for backend in ("torch", "onnx"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        arguments = ["live", "--raw", "s16", "--rate", str(RATE), "--model", str(model)]
        assert main([*arguments, "--backend", backend]) == 0
        made[backend], err = capfdbinary.readouterr()
    assert b"the graph of a frame is made for onnx, once" in err
    ours, theirs = (np.frombuffer(out, "<i2").astype(int) for out in made.values())
    assert len(ours) == 1000
    assert np.abs(ours - theirs).max() <= 1  # of 16 bits
    assert np.abs(ours).max() > 100
