"""The page beside the step of a stream, in a real browser; skipped where there is none."""

import http.server
import shutil
import subprocess
import threading
import urllib.parse
import wave
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny
from browser import browser_with

pytestmark = pytest.mark.slow
pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")

from sgmse.export import NPM, export, write_page  # noqa: E402
from sgmse.export.runner import Runner  # noqa: E402


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass


def written(path: Path, audio: np.ndarray) -> Path:
    """(channels, samples) of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((len(audio), 2, tiny.RATE, 0, "NONE", ""))
        file.writeframes(audio.T.tobytes())
    return path


def sound(channels: int, samples: int) -> np.ndarray:
    z = np.random.default_rng(samples).standard_normal((channels, samples))
    return np.round(3000 * z * (0.1 + np.sin(np.linspace(0, 9, samples)) ** 2)).astype("<i2")


def steady() -> np.ndarray:
    """Noise below 4 kHz, which the browser brings to its rate and back."""
    z = np.random.default_rng(0).standard_normal(3 * tiny.RATE // 2)
    return np.round(3000 * np.interp(np.arange(2 * z.size) / 2, np.arange(z.size), z)).astype("<i2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """In hops of 255 samples, as browsers hear in blocks of 128."""
    folder = tmp_path_factory.mktemp("page")
    checkpoint = tiny.causal_checkpoint(frequencies=256)
    for parameter in checkpoint.model.network.head.parameters():
        parameter.mul_(0.5)  # of compressed magnitudes
    exported = export(checkpoint, folder / "step.onnx", stream=True)
    write_page(exported.path, exported.facts)
    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine, which brings onnxruntime-web")
    command = [*NPM.format(folder=folder).split(), "--ignore-scripts", "--no-audit", "--no-fund"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode:
        pytest.skip(f"npm brings no onnxruntime-web: {run.stderr[-200:]}")
    return exported.path


@pytest.fixture(scope="module")
def address(model):
    handler = partial(Quiet, directory=str(model.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def heard(tmp_path_factory) -> Path:
    """What the microphone of the browser hears, over and over."""
    return written(tmp_path_factory.mktemp("heard") / "a.wav", steady()[None])


#: Keeps the last two seconds of what goes to the loudspeaker.
SPY = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...others) {
  if (target instanceof AudioDestinationNode) {
    window.spy = new AnalyserNode(this.context, { fftSize: 32768 });
    connect.call(this, window.spy);
  }
  return connect.call(this, target, ...others);
};
"""
PLAYED = """() => {
  const samples = new Float32Array(window.spy.fftSize);
  window.spy.getFloatTimeDomainData(samples);
  return [...samples];
}"""


@pytest.fixture(scope="module")
def page(address, heard):
    options = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with browser_with(
        *options,
        f"--use-file-for-fake-audio-capture={heard}",
        "--autoplay-policy=no-user-gesture-required",
    ) as browser:
        page = browser.new_context().new_page()
        page.set_default_timeout(120_000)
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: page.complaints.append(said.text))
        page.add_init_script(SPY)
        page.goto(f"{address}?wait=25")  # on machines with other work, too
        page.wait_for_selector("#listen:enabled")
        yield page
        assert page.complaints == []
        hosts = {urllib.parse.urlparse(url).netloc for url in page.asked} - {""}  # blob:, data:
        assert hosts == {urllib.parse.urlparse(address).netloc}


@pytest.mark.parametrize(("channels", "samples"), [(2, 20_011), (1, 100)])
def test_a_file_becomes_what_the_runner_makes_of_it(channels, samples, page, model, tmp_path):
    audio = sound(channels, samples)
    page.set_input_files("#file", written(tmp_path / "noisy.wav", audio))
    page.wait_for_selector("#result:visible")
    with page.expect_download() as waiting:
        page.click("#save")
    assert waiting.value.suggested_filename == "noisy-enhanced.wav"
    with wave.open(str(waiting.value.path())) as file:
        assert file.getparams()[:4] == (channels, 2, tiny.RATE, samples)
        made = np.frombuffer(file.readframes(samples), "<i2").reshape(-1, channels).T
    runner = Runner.open(model)
    floats = (audio / 32768).astype(np.float32)
    theirs = np.concatenate([runner(floats), runner.flush()], axis=1)[:, runner.delay :]
    theirs = np.clip(32768 * theirs, -32768, 32767)
    assert np.abs(theirs).max() > 30
    assert np.abs(made - theirs).max() < 0.51 + 1e-4 * np.abs(theirs).max()  # rounded
    assert page.inner_text("#problem") == ""


def test_what_is_no_sound_is_said(page, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF nonsense")
    page.set_input_files("#file", tmp_path / "a.wav")
    page.wait_for_selector("#problem:has-text('a.wav is no sound that this browser reads')")
    assert page.is_enabled("#file")


def test_a_microphone_that_cannot_be_played_is_closed(page):
    page.evaluate(
        """() => {
            const [devices, Own] = [navigator.mediaDevices, window.AudioContext];
            const open = devices.getUserMedia.bind(devices);
            devices.getUserMedia = async (wanted) => (window.opened = await open(wanted));
            window.AudioContext = class { constructor() { throw new Error("no such rate"); } };
            window.restored = () => { window.AudioContext = Own; };
        }"""
    )
    page.click("#listen")
    page.wait_for_selector("#problem:has-text('the microphone is not heard: no such rate')")
    ended = "() => window.opened.getTracks().map((track) => track.readyState)"
    assert page.evaluate(ended) == ["ended"]
    assert page.is_enabled("#listen")
    page.evaluate("() => window.restored()")


def loudness(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))


def test_the_microphone_is_played_enhanced(page, model):
    """Of noise that is as loud throughout, the model makes less."""
    runner, noisy = Runner.open(model), steady() / np.float32(32768)
    made = np.concatenate([runner(noisy), runner.flush()])[runner.delay :]
    assert loudness(made) < 0.5 * loudness(noisy)
    page.click("#listen")
    for expected, seconds in ((made, 4), (noisy, 8)):  # more than the two that are looked at
        page.wait_for_selector(f"#live:text-matches('^{seconds} s, ')")
        played = np.array(page.evaluate(PLAYED))
        assert loudness(played) == pytest.approx(loudness(expected), rel=0.1)
        page.check("#original")
    assert page.inner_text("#problem") == ""
    page.click("#listen")
    page.wait_for_selector("#listen:has-text('Listen')")
