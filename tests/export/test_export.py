"""Files for other runtimes: their results are those of torch, or there is no file."""

import importlib.util
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from conftest import together

from sgmse.checkpoints import load_model
from sgmse.enhancer import Enhancer
from sgmse.errors import ArgumentError, ExportError, MissingPackageError
from sgmse.estimates import EDM, Data
from sgmse.export import export
from sgmse.export._graphs import AudioGraph
from sgmse.export._parts import Spectra
from sgmse.front import FrontEnd
from sgmse.model import Regeneration, ScoreModel
from sgmse.networks import (
    DCUNet,
    MagnitudePreservingUNet,
    NCSNpp,
    NemoNCSNpp,
    Network,
    SlimUNet,
)
from sgmse.postprocessing import Level, raised
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Log, Power, Spectrogram

onnx = pytest.importorskip("onnx", reason="needs the extra export")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")

CLOSE = 1e-5  # of results to those of torch, relative to the largest value


def session(path: Path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def distance(ours, theirs) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def with_network(network: Network, **changes):
    """A tiny checkpoint of one evaluation with that network, in single precision."""
    return replace(tiny.checkpoint(network.eval().requires_grad_(False)), **changes)


def refining(moved: float = 0.5):
    """A tiny checkpoint of two networks, whose second sees what goes in and out of the first."""
    torch.manual_seed(1)
    network = SlimUNet((4, 8), (1, 1), dual_paths=1, embedding=8, taps=3, observations=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = Regeneration(tiny.network(), ScoreModel(network, SBVE(), Data()), "both", moved)
    return replace(tiny.checkpoint(), model=model.eval().requires_grad_(False))


def enhanced(checkpoint, rows: np.ndarray) -> np.ndarray:
    """What the library makes of each row; noise is no speech, and is not to be refused here."""
    enhancer = replace(Enhancer.of(checkpoint), force=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.stack([enhancer(row, tiny.RATE) for row in rows])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    return export(tiny.checkpoint(), tmp_path_factory.mktemp("network") / "a.onnx")


@pytest.fixture(scope="module")
def audio_file(tmp_path_factory):
    """Of two places of the frames."""
    path = tmp_path_factory.mktemp("audio") / "a.onnx"
    return export(tiny.checkpoint(), path, audio=True, shifts=2)


def test_a_network_is_that_of_torch_at_any_length_and_batch(network_file):
    assert network_file.difference < CLOSE
    assert network_file.shapes == {
        "x": "(batch, 2, 32, frames)",
        "y": "(batch, 2, 32, frames)",
        "t": "(batch,)",
        "output": "(batch, 2, 32, frames)",
    }
    network, run = tiny.network(), session(network_file.path)
    for batch, frames in ((1, 2), (2, 30), (5, 8)):
        x, y = noise(batch, 2, 32, frames), noise(batch, 2, 32, frames, seed=1)
        t = np.linspace(0.2, 1, batch, dtype=np.float32)
        (ours,) = run.run(None, {"x": x, "y": y, "t": t})
        state, seen = (torch.complex(*torch.from_numpy(z).split(1, dim=1)) for z in (x, y))
        theirs = network(state, seen, torch.from_numpy(t))
        assert distance(ours, np.concatenate([theirs.real, theirs.imag], axis=1)) < CLOSE


@pytest.mark.slow
def test_audio_is_what_the_enhancer_makes_of_it(audio_file):
    """At any length, shorter than a window too; each row by itself, and silence is silent."""
    assert audio_file.difference < CLOSE
    checkpoint = tiny.with_sampler(tiny.checkpoint(), shifts=2)
    run = session(audio_file.path)
    for batch, samples in ((1, 5), (1, 62), (2, 1000), (4, 3003)):
        audio = noise(batch, samples) * np.logspace(-2, -1, batch, dtype=np.float32)[:, None]
        audio[0] *= batch != 2
        (ours,) = run.run(None, {"audio": audio})
        assert distance(ours, enhanced(checkpoint, audio)) < CLOSE
        assert ours[0].any() == (batch != 2)


@pytest.mark.slow
def test_a_file_says_what_is_in_it(audio_file, network_file):
    facts = session(audio_file.path).get_modelmeta().custom_metadata_map
    assert facts == audio_file.facts
    wanted = {
        "kind": "audio",
        "licence": "CC0-1.0",
        "sample_rate": "16000",
        "n_fft": "62",
        "hop": "16",
        "compression": "Power(exponent=0.5, factor=0.15)",
        "process": "SBVE(k=2.6, c=0.4)",
        "estimate": "Data()",
        "frames_multiple": "2",
        "shifts": "2",
    }
    assert wanted.items() <= facts.items()
    assert facts["solver"].startswith("Exponential(")
    assert network_file.facts["kind"] == "network"
    graph = onnx.load(network_file.path).graph
    kinds = {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}


FRONTS = [
    FrontEnd(Spectrogram(62, 16, Power(0.3, 0.3)), tiny.RATE),
    FrontEnd(Spectrogram(62, 31, Log()), tiny.RATE),
    FrontEnd(Spectrogram(62, 40, ends="zero", window="sqrthann"), tiny.RATE),
    FrontEnd(Spectrogram(62, 40), tiny.RATE, tail="published"),
    FrontEnd(Spectrogram(62, 20, Power(1.0, 2.0)), tiny.RATE, multiple=3, level="published"),
]


@together(front=FRONTS, samples=[1, 61, 62, 400, 403])
def test_spectra_in_parts_are_those_of_the_front(front, samples):
    spectra, audio = Spectra(front, divisor=2), torch.from_numpy(noise(2, samples))
    audio[:, samples // 2 :] *= 1e-12  # which compression lifts
    ours, theirs = spectra(audio), front.forward(audio.double(), 2)
    loud = theirs.abs() > 0.01 * theirs.abs().max()  # others are the rounding of these
    torch.testing.assert_close(
        torch.complex(*ours.double().unbind(2))[loud], theirs[loud], rtol=1e-4, atol=0
    )
    assert ours.shape[-1] == theirs.shape[-1]
    parts = torch.stack([theirs.real, theirs.imag], dim=2).float()
    back, wanted = spectra.inverse(parts, samples), front.inverse(theirs, samples)
    assert distance(back.numpy(), wanted.numpy()) < 1e-5


def test_faint_spectra_do_not_vanish():
    """1e-25 and its neighbours, of which the squares are zero in single precision."""
    front = FRONTS[0]
    audio = torch.from_numpy(1e-25 * noise(1, 400))
    ours, theirs = Spectra(front, 2)(audio), front.forward(audio.double(), 2)
    assert distance(torch.complex(*ours.double().unbind(2)).numpy(), theirs.numpy()) < 1e-4


@pytest.mark.slow
@together(
    checkpoint=[
        refining(),
        refining(moved=0.0),
        replace(refining(), dry=0.2),
        replace(refining(), strength=0.6),
        replace(tiny.checkpoint(), strength=1.4),
        with_network(tiny.network(), model=ScoreModel(tiny.network(), SBVE(), EDM(0.2))),
        *(with_network(tiny.network(), front=front) for front in FRONTS),
    ]
)
def test_what_is_traced_is_what_the_enhancer_makes(checkpoint):
    graph = AudioGraph(checkpoint)
    (audio,) = graph.example(batch=2, length=2, seed=3)
    with torch.inference_mode():
        assert distance(graph(audio).numpy(), graph.expected(audio).numpy()) < CLOSE


@together(scale=[0.0, 0.02, 0.5, 0.9, 3.0], samples=[1, 512, 5000])
def test_speech_is_raised_as_that_of_one_segment(scale, samples):
    noisy = noise(2, samples) * np.linspace(0.02, 1, samples, dtype=np.float32)
    noisy /= np.abs(noisy).max(axis=1, keepdims=True)
    clean = np.float32(scale) * noisy + 0.05 * np.float32(scale) * noise(2, samples, seed=1)
    ours = raised(torch.from_numpy(clean), torch.from_numpy(noisy), tiny.RATE).numpy()
    theirs = Level(tiny.RATE)(clean, noisy)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_of_two_networks_each_has_a_file_or_both_one(tmp_path):
    path, checkpoint = tmp_path / "a.onnx", refining()
    with pytest.raises(ExportError, match=r"two networks: .* --part predictor .* --audio"):
        export(checkpoint, path)
    assert list(tmp_path.iterdir()) == []
    made = export(checkpoint, path, part="network")
    assert (made.shapes["y"], made.facts["part"]) == ("(batch, 4, 32, frames)", "network")
    assert (made.facts["conditioning"], made.facts["moved"]) == ("both", "0.5")


@pytest.mark.slow
def test_both_networks_in_one_file(tmp_path):
    path, checkpoint = tmp_path / "a.onnx", refining()
    export(checkpoint, path, audio=True)
    audio = noise(3, 777)
    (ours,) = session(path).run(None, {"audio": audio})
    assert distance(ours, enhanced(checkpoint, audio)) < CLOSE


class Sized(Network):
    """Louder the longer it is: a graph has the length of its example in it."""

    def real_valued(self, x, y, t):
        return y * float(y.shape[-1])


class Unknown(Network):
    """An operator that ONNX does not have."""

    def real_valued(self, x, y, t):
        return torch.special.bessel_j0(x) + y


SEVERAL = {"solver": Exponential(start=0.0), "grid": Uniform(steps=2, end=0.0)}
REFUSED = {
    "complex numbers": (tiny.checkpoint(tiny.Pointwise()), {}, "Pointwise computes with complex"),
    "so in audio": (tiny.checkpoint(tiny.Pointwise()), {"audio": True}, "real_valued"),
    "several evaluations": (
        tiny.with_sampler(tiny.checkpoint(), **SEVERAL),
        {"audio": True},
        "more than one evaluation .* without --audio",
    ),
    "noise at the start": (
        tiny.with_sampler(tiny.checkpoint(), solver=Exponential(start=1.0)),
        {"audio": True},
        "more than one evaluation",
    ),
    "reflected frames": (
        tiny.with_front(tiny.checkpoint(), padding="reflect"),
        {"audio": True},
        "padding='reflect' .* without --audio",
    ),
    "no predictor": (tiny.checkpoint(), {"part": "predictor"}, "has no predictor; leave --part"),
    "shifts of a network": (tiny.checkpoint(), {"shifts": 2}, "shifts .* leave them out"),
    "a part of all": (refining(), {"audio": True, "part": "network"}, "--audio has all parts"),
    "an operator": (tiny.checkpoint(Unknown()), {}, "there is no ONNX of this network"),
    "sizes in the graph": (tiny.checkpoint(Sized()), {}, "differ from those of torch by .*e"),
}


@pytest.mark.parametrize(("checkpoint", "options", "says"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_exported_is_refused_in_a_line(checkpoint, options, says, tmp_path, capfd):
    before = tmp_path / "a.onnx"
    before.write_bytes(b"as it was")
    with pytest.raises(ExportError, match=says) as refused:
        export(checkpoint, before, overwrite=True, **options)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().out == ""
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(before, b"as it was")]


def test_names_that_cannot_be_written_are_refused(tmp_path):
    for name, says in {"a.pt": "must end in .onnx; call it", "b.onnx": "a folder"}.items():
        (tmp_path / "b.onnx").mkdir(exist_ok=True)
        with pytest.raises(ExportError, match=says):
            export(tiny.checkpoint(), tmp_path / name)
    (tmp_path / "c.onnx").write_bytes(b"")
    with pytest.raises(ExportError, match="exists already; use --overwrite"):
        export(tiny.checkpoint(), tmp_path / "c.onnx")
    (tmp_path / "e.bin").write_bytes(b"")
    with pytest.raises(ExportError, match=r"e\.bin exists already"):
        export(tiny.checkpoint(), tmp_path / "e.xml", to="openvino")
    with pytest.raises(ArgumentError, match="to must be"):
        export(tiny.checkpoint(), tmp_path / "d.onnx", to="tflite")


def test_packages_that_are_missing_are_named(tmp_path, monkeypatch):
    for package, extra, suffix, to in (
        ("openvino", "openvino", "xml", "openvino"),
        ("onnx", "export", "onnx", "onnx"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        remedy = rf"'{package}': pip install 'sgmse-toolkit\[{extra}\]'"
        with pytest.raises(MissingPackageError, match=remedy):
            export(tiny.checkpoint(), tmp_path / f"a.{suffix}", to=to)


class Weighted(Network):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.3))

    def real_valued(self, x, y, t):
        return self.weight * x + t[:, None, None, None] * y


def test_the_model_stays_as_it_is(tmp_path):
    checkpoint = tiny.checkpoint(Weighted().double())
    network = checkpoint.model.network.train().requires_grad_(True)
    export(checkpoint, tmp_path / "a.onnx")
    assert network.training
    assert all(p.dtype == torch.float64 and p.requires_grad for p in network.parameters())


NCSNPP = {"channels": 8, "multipliers": (1, 2, 2), "blocks": 1, "bins": 32}
OTHERS = {
    "NCSN++": lambda: NCSNpp(**NCSNPP),
    "NCSN++ of two times": lambda: NCSNpp(**NCSNPP, end="length"),
    "NCSN++ that predicts": lambda: NCSNpp(**NCSNPP, predictive=True, centred=False),
    "DCUNet": lambda: DCUNet(levels=[[3, [4, 4]], [4, [5, 3], [2, 1]]], width=8),
    "magnitude preserving": lambda: MagnitudePreservingUNet(
        channels=8, multipliers=(1, 2), blocks=1, bins=32, head_channels=4
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", OTHERS.values(), ids=list(OTHERS))
def test_other_networks(make, tmp_path):
    torch.manual_seed(0)
    made = export(with_network(make()), tmp_path / "a.onnx")
    assert made.difference < CLOSE
    assert ("s" in made.shapes) == make().two_times


@pytest.mark.slow
def test_nemo_has_no_export(tmp_path):
    network = NemoNCSNpp(channels=[4, 4, 8], pad_frames=4, pad_frequencies=4)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    with pytest.raises(ExportError, match="at a length"):
        export(with_network(network), tmp_path / "a.onnx")


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="needs the extra openvino")
def test_openvino(tmp_path):
    import openvino

    path = tmp_path / "a.xml"
    made = export(tiny.checkpoint(), path, to="openvino", audio=True)
    assert made.difference < CLOSE
    assert {p.name for p in tmp_path.iterdir()} == {"a.xml", "a.bin"}
    model = openvino.Core().read_model(path)
    assert model.get_rt_info(["sgmse", "sample_rate"]).astype(str) == "16000"
    run = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    audio = noise(2, 1234)
    assert distance(run({"audio": audio})[0], enhanced(tiny.checkpoint(), audio)) < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("part", ["predictor", "network", None])
def test_the_default_model(part, tmp_path):
    """7e-7 of each network, and 1e-5 of its audio, were measured: the rounding of one network is
    what the next one hears."""
    made = export(load_model("default"), tmp_path / "a.onnx", part=part, audio=part is None)
    assert made.difference < (CLOSE if part else 3 * CLOSE)
    assert made.facts["licence"] == "cc-by-sa-4.0"
