"""The step of a stream as a file: whoever runs it gets what `sgmse.live.Stream` gives."""

import subprocess
import sys
import warnings
import wave
from dataclasses import replace
from pathlib import Path
from platform import machine

import numpy as np
import pytest
import soundfile
import tiny
from conftest import together

import sgmse
from sgmse.checkpoints import load
from sgmse.enhancer import Enhancer
from sgmse.errors import ExportError
from sgmse.estimates import EDM
from sgmse.export import export, runner as module, write_runner
from sgmse.export.runner import Runner
from sgmse.front import FrontEnd
from sgmse.live import Stream
from sgmse.model import Regeneration, ScoreModel
from sgmse.sdes import SBVE
from sgmse.solvers import Exponential, Uniform
from sgmse.transforms import Power, Spectrogram

onnx = pytest.importorskip("onnx", reason="needs the extra export")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")

#: Of results to those of torch, relative to the largest value: the compression lifts bins that are
#: nearly zero, as mirrored ends have them, and with these the rounding.
CLOSE = 1e-4


def stream(checkpoint) -> Stream:
    return Stream(replace(Enhancer.of(checkpoint), force=True), tiny.RATE)  # random weights


def noise(*shape: int) -> np.ndarray:
    swell = 0.02 + np.sin(np.linspace(0, 9, shape[-1])) ** 2
    rng = np.random.default_rng(shape[-1])
    return (0.1 * swell * rng.standard_normal(shape)).astype(np.float32)


def in_blocks(run, audio: np.ndarray, seed: int = 0) -> np.ndarray:
    rng, out, start = np.random.default_rng(seed), [], 0
    while start < audio.shape[-1]:
        out.append(run(audio[..., start : (start := start + int(rng.integers(0, 70)))]))
    return np.concatenate([*out, run.flush()], axis=-1)[..., run.delay :]


def assert_alike(ours: np.ndarray, checkpoint, audio: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stream(checkpoint).whole(audio)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE * np.abs(theirs).max())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("step") / "new" / "step.onnx"
    return export(tiny.causal_checkpoint(), path, stream=True)


@pytest.mark.slow
@together(samples=[1, 14, 15, 16, 29, 30, 31, 100, 450, 997], seed=[0, 1])
def test_blocks_of_any_length_give_what_the_stream_gives(exported, samples, seed):
    run, audio = Runner.open(exported.path), noise(2, samples)
    ours = in_blocks(run, audio, seed)
    assert_alike(ours, tiny.causal_checkpoint(), audio)
    again = in_blocks(run, audio[0], seed)  # of other channels, after the end
    np.testing.assert_array_equal(again, ours[0])
    assert run.delay == stream(tiny.causal_checkpoint()).delay == 29


@pytest.mark.slow
def test_zeros_push_out_the_rest_of_a_recording(exported):
    """As `docs/export.md` calls the file: nothing but audio and state, from zeros on."""
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    hop, state = int(facts["hop"]), np.zeros(int(facts["state_size"]), np.float32)
    audio = noise(30 * hop)
    hops = [*audio.reshape(-1, 1, hop), np.zeros((1, hop), np.float32)]
    outputs = []
    for block in hops:
        before = state.copy()
        enhanced, after = session.run(None, {"audio": block, "state": state})
        assert np.array_equal(state, before)
        outputs.append(enhanced[0])
        state = after
    assert not outputs[0].any()
    ours = np.concatenate(outputs)[int(facts["delay"]) :]
    silent = np.concatenate([audio, np.zeros(3 * hop, np.float32)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = stream(tiny.causal_checkpoint()).whole(silent)[: audio.size]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE * np.abs(theirs).max())


def test_a_file_says_what_is_in_it(exported):
    assert exported.difference < 1e-5
    size = exported.facts["state_size"]
    assert exported.shapes == {
        "audio": "(1, 15)",
        "state": f"({size},)",
        "enhanced": "(1, 15)",
        "next_state": f"({size},)",
    }
    facts = Runner.open(exported.path.read_bytes()).facts
    assert facts == exported.facts
    wanted = {
        "kind": "stream",
        "name": "step",
        "sample_rate": "16000",
        "hop": "15",
        "delay": "15",
        "initial_state": "zeros",
        "licence": "CC0-1.0",
        "ends": "reflect",
    }
    assert wanted.items() <= facts.items()


FRONTS = {
    "linear": FrontEnd(Spectrogram(30, 15, Power(1.0, 2.0)), tiny.RATE, level="published"),
    "zeros at the ends": FrontEnd(
        Spectrogram(30, 15, ends="zero", window="sqrthann"), tiny.RATE, level="published"
    ),
}
SCALED = ScoreModel(tiny.causal_checkpoint().model.network, SBVE(), EDM(0.2))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        *({"front": front} for front in FRONTS.values()),
        {"model": SCALED},
        {"dry": 0.2},
        {"strength": 0.7},
    ],
    ids=[*FRONTS, "scaled inputs", "a share of the recording", "a strength"],
)
def test_other_models(changes, tmp_path):
    checkpoint = tiny.causal_checkpoint(**changes)
    made = export(checkpoint, tmp_path / "a.onnx", stream=True)
    assert made.difference < 1e-5
    audio = noise(407)
    assert_alike(in_blocks(Runner.open(made.path), audio), checkpoint, audio)


CAUSAL = tiny.causal_checkpoint()
REFUSED = {
    "not causal": (
        tiny.checkpoint(),
        {},
        "SlimUNet hears what is to come, .* --audio, or take a causal",
    ),
    "two networks": (
        replace(CAUSAL, model=Regeneration(CAUSAL.model.network, CAUSAL.model, "noisy")),
        {},
        "two networks, and a step of a stream is of one; stream it with sgmse live",
    ),
    "several evaluations": (
        tiny.with_sampler(CAUSAL, solver=Exponential(start=0.0), grid=Uniform(2, end=0.0)),
        {},
        "more than one evaluation at the observation, and a step of a stream is one",
    ),
    "noise": (tiny.with_sampler(CAUSAL, solver=Exponential(start=1.0)), {}, "more than one eval"),
    "shifts": (tiny.with_sampler(CAUSAL, shifts=2), {}, "needs one place of the frames; stream"),
    "level": (tiny.with_front(CAUSAL, level="kept"), {}, "needs level='published'; stream"),
    "tail": (tiny.with_front(CAUSAL, tail="published"), {}, "needs tail='cover'"),
    "padding": (tiny.with_front(CAUSAL, padding="reflect"), {}, "needs padding='zero'"),
    "hop": (
        tiny.with_front(CAUSAL, transform=Spectrogram(30, 10)),
        {},
        "needs hops of half a window",
    ),
    "with audio": (CAUSAL, {"audio": True}, "--stream is a file of its own; leave --audio"),
    "of a part": (CAUSAL, {"part": "network"}, "--stream is a file of its own"),
}


@pytest.mark.parametrize(("checkpoint", "options", "says"), REFUSED.values(), ids=list(REFUSED))
def test_what_has_no_step_is_refused_in_a_line(checkpoint, options, says, tmp_path):
    with pytest.raises(ExportError, match=says) as refused:
        export(checkpoint, tmp_path / "a.onnx", stream=True, **options)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_causal_network_alone_is_referred_to_its_step(tmp_path):
    with pytest.raises(ExportError, match=r"no ONNX of this network .* \(--stream\)"):
        export(CAUSAL, tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"Dear diary\n" * 9, b"", b"RIFF"])
def test_a_runner_says_which_file_is_no_wav(exported, tmp_path, capsys, content):
    source = tmp_path / "x.wav"
    source.write_bytes(content)
    assert module.main([str(exported.path), str(source), str(tmp_path / "y.wav")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {source} is no whole WAV file of samples (")
    assert line.endswith(f"convert it: ffmpeg -i {source} other.wav")


DATA = Path(__file__).resolve().parents[1] / "data"
SMALL = ("onnxruntime==1.16.3", "numpy==1.23.5")  # as docs/export.md has it


@pytest.mark.slow
@pytest.mark.skipif(
    (sys.version_info[:2], sys.platform, machine()) != ((3, 11), "linux", "x86_64"),
    reason="what is measured are the wheels of Python 3.11 on Linux",
)
def test_a_runner_and_what_it_needs_are_80_mb(tmp_path):
    place, source, target = tmp_path / "small", tmp_path / "a.wav", tmp_path / "b.wav"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    found = subprocess.run([*pip, "--target", place, *SMALL], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"nothing to be had: {found.stderr.strip().splitlines()[-1]}")
    model = Path(sgmse.__file__).parent / "pretrained" / "live"
    made = export(load(model), tmp_path / "step.onnx", stream=True)
    runner = write_runner(made.path)
    files = [path for path in place.rglob("*") if path.is_file()] + [made.path, runner]
    assert sum(path.stat().st_size for path in files) < 85e6
    assert sum(path.stat().st_size for path in files if path.is_relative_to(place)) < 80e6
    source.write_bytes((DATA / "noisy.wav").read_bytes())
    # Without the packages of this environment: -S leaves out what is installed.
    command = [sys.executable, "-S", runner, made.path, source, target]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(place)}, capture_output=True)
    again = tmp_path / "c.wav"
    assert module.main([str(made.path), str(source), str(again)]) == 0
    theirs, ours = (soundfile.read(path, dtype="int16")[0].astype(int) for path in (target, again))
    assert np.abs(ours - theirs).max() <= 1
    assert np.abs(ours).max() > 1000


@pytest.mark.slow
def test_a_runner_says_what_it_does_not_take(exported, tmp_path):
    run = Runner.open(exported.path)
    run(noise(2, 40))
    for block, says in (
        (noise(40), "channels"),
        (np.zeros((2, 3), np.int16), "floats of shape"),
        (np.full((2, 3), np.nan), "not finite"),
        (np.full((2, 3), 1e39), "not finite"),
    ):
        with pytest.raises(ValueError, match=says):
            run(block)
    rest = np.concatenate([run(noise(2, 41)), run.flush()], axis=1)
    whole = np.concatenate([noise(2, 40), noise(2, 41)], axis=1)
    np.testing.assert_array_equal(rest[:, -70:], in_blocks(run, whole)[:, -70:])
    assert run.flush().size == 0
    audio = export(tiny.checkpoint(), tmp_path / "a.onnx", audio=True).path
    with pytest.raises(ValueError, match="no step of a stream; write one by sgmse export --stream"):
        Runner.open(audio)


def called(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
    """`python runner.py` where neither torch nor this package can be imported."""
    script = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'sgmse', 'scipy', 'soundfile')))\n"
        f"sys.argv[0] = {module.__file__!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, check=False)


@pytest.mark.slow
def test_a_command_without_torch_gives_what_the_stream_gives(exported, tmp_path):
    audio = np.round(32768 * noise(2, 997)).astype("<i2")
    source, target = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    with wave.open(str(source), "wb") as file:
        file.setparams((2, 2, tiny.RATE, 0, "NONE", ""))
        file.writeframes(audio.T.tobytes())
    run = called(exported.path, source, target)
    assert (run.returncode, run.stderr) == (0, b"")
    with wave.open(str(target)) as file:
        assert file.getparams()[:4] == (2, 2, tiny.RATE, 997)
        made = np.frombuffer(file.readframes(997), "<i2").reshape(-1, 2).T
    expected = in_blocks(Runner.open(exported.path), audio / np.float32(32768))
    assert_alike(expected, tiny.causal_checkpoint(), audio / np.float32(32768))
    assert np.abs(made - 32768 * expected).max() <= 0.51  # rounded
    raw = called(exported.path, "--raw", "s16", "--channels", "2", given=audio.T.tobytes())
    assert raw.stdout == made.T.astype("<i2").tobytes()
    assert raw.stderr == b""
    odd = called(exported.path, "--raw", "s16", "--channels", "2", given=audio.T.tobytes() + b"abc")
    assert odd.stdout == raw.stdout
    assert odd.stderr == b"the last 3 bytes are no whole frame, and left out\n"
    source.write_bytes(source.read_bytes()[: -4 * 97])
    cut = called(exported.path, source, target)
    assert b"ends 0.01 s before its header says, and so does" in cut.stderr
    assert b"(0.1 s in" in cut.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"noisy.wav", "clean.wav"}


@pytest.mark.slow
def test_what_a_command_cannot_do_is_a_line(exported, tmp_path):
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(100))
    for words, says in (
        ((exported.path, source, target), b"8000 Hz and 16 bits; convert it: ffmpeg -i"),
        ((tmp_path / "none.onnx", source, target), b"error: "),
    ):
        run = called(*words)
        assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (1, b"", 1)
        assert says in run.stderr
    assert not target.exists()
    assert called(exported.path, source).returncode == 2


@pytest.mark.slow
def test_openvino(tmp_path):
    pytest.importorskip("openvino", reason="needs the extra openvino")
    made = export(tiny.causal_checkpoint(), tmp_path / "a.xml", to="openvino", stream=True)
    assert made.difference < 1e-5
    assert made.shapes["audio"] == "(1, 15)"
    assert Path(made.path).exists()
