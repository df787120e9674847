"""The page in a real browser, from a file to its result; skipped where there is none."""

import re
import socket
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from browser import browser_with

from sgmse.app.server import Settings, running
from sgmse.app.work import Limits
from sgmse.cli.main import main
from sgmse.enhancer import Enhancer

pytestmark = pytest.mark.slow
pytest.importorskip("gradio", reason="the page needs the extra app")

SOUND = "document.querySelectorAll('.player audio')[{}].{}"
CHOSEN = "document.querySelector('.switch input:checked').value"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium of this machine, headless, with a microphone that beeps."""
    with browser_with(
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    ) as browser:
        yield browser


@pytest.fixture(scope="module")
def served(model) -> Iterator[tuple[str, Path]]:
    """A page of the tiny model: its address, and where it keeps files."""
    asked, resolve = [], socket.getaddrinfo

    def told(host: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(host)
        return resolve(host, *arguments, **options)

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(socket, "getaddrinfo", told)
    settings = Settings(port=0, model=str(model), limits=Limits(minutes=0.5, megabytes=3, files=3))
    with running(settings) as (server, address, listening):
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        folder = Path(server.config.app.folder)
        yield address, folder
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
    assert not folder.exists()
    monkeypatch.undo()
    assert {str(host) for host in asked} <= {"127.0.0.1", "localhost"}  # of no other machine


class Opened:
    """The page in a browser, what it asked for and what it complained of."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url[:200]))
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(address)
        self.page.get_by_role("button", name="Clean it").wait_for()

    def _told(self, message: Any) -> None:
        if message.type == "error":  # Gradio also warns, of its own doings
            self.complaints.append(message.text)

    def __call__(self, script: str) -> Any:
        return self.page.evaluate(script)

    def give(self, *files: Path, to: str = "#files") -> None:
        self.page.locator(f"{to} input[type=file]").set_input_files(list(files))
        self.page.locator(f"{to} .file-preview tr").nth(len(files) - 1).wait_for()

    def clean(self) -> None:
        self.page.get_by_role("button", name="Clean it").click()

    def done(self) -> str:
        """Wait for the end; what is said of it."""
        self.page.locator("#status .said").wait_for()
        self.page.locator("#clean-it:not([disabled])").wait_for()
        return self.page.locator("#status").inner_text()

    def saved(self, name: str) -> Path:
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name=name).first.click()
        return Path(download.value.path())

    def wait(self, condition: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self(condition):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(30)


@pytest.fixture
def opened(chromium, served) -> Iterator[Opened]:
    found = Opened(chromium, served[0])
    yield found
    assert found.complaints == []
    found.context.close()


def test_from_a_file_to_its_result(opened, served, recordings, model, tmp_path):
    """The result is that of the command line; nothing is asked of any other machine."""
    opened.give(recordings / "b.flac")
    opened.clean()
    assert re.match(r"Done\. 1 recording: 2\.0 s of sound in [\d.]+ s", opened.done())
    saved = opened.saved("Save the result")
    target = tmp_path / "b_enhanced.flac"
    source = str(recordings / "b.flac")
    assert main(["enhance", source, "--model", str(model), "-o", str(target)]) == 0
    assert saved.read_bytes() == target.read_bytes()
    assert opened("document.querySelector('a.load').download") == "b_enhanced.flac"
    shown = "[...document.querySelectorAll('.player img')].map(i => i.complete && i.naturalHeight)"
    assert min(opened(shown)) > 50
    others = [url for url in opened.requests if not url.startswith((served[0], "data:", "blob:"))]
    assert others == []


def test_settings_are_those_of_the_command_line(opened, recordings, model, tmp_path):
    opened.give(recordings / "stereo.wav")
    opened.page.get_by_label("by 12 dB").check()
    opened.page.get_by_role("button", name="More").click()
    opened.page.get_by_label("Keep the sound above 8 kHz").uncheck()
    opened.page.locator("#dry input[type=number]").fill("0.25")
    opened.page.locator("#dry input[type=number]").press("Tab")
    opened.page.locator("#strength input[type=number]").fill("0.5")
    opened.page.locator("#strength input[type=number]").press("Tab")
    opened.clean()
    opened.done()
    saved = opened.saved("Save the result")
    target = tmp_path / "x.wav"
    options = ["--dry", "0.25", "--max-attenuation", "12", "--no-upper-band", "--strength", "0.5"]
    source = str(recordings / "stereo.wav")
    assert main(["enhance", source, "--model", str(model), "-o", str(target), *options]) == 0
    assert saved.read_bytes() == target.read_bytes()


def test_the_switch_keeps_the_position(opened, recordings):
    opened.give(recordings / "a.wav")
    opened.clean()
    opened.done()
    assert opened(CHOSEN) == "1"
    opened.wait(SOUND.format(1, "readyState") + " >= 2")
    opened.page.get_by_role("button", name="Play", exact=True).click()
    opened.wait(SOUND.format(1, "currentTime") + " > 0.3")
    opened.page.get_by_label("before", exact=True).check()
    now = opened(SOUND.format(0, "currentTime"))
    assert opened(SOUND.format(1, "paused"))
    assert now >= 0.3
    opened.wait(SOUND.format(0, "currentTime") + f" > {now} + 0.1")
    opened.page.locator("h1").click()
    opened.page.keyboard.press("b")
    assert opened(CHOSEN) == "1"
    assert opened(SOUND.format(1, "currentTime")) >= now
    assert opened(SOUND.format(0, "paused"))
    opened.page.get_by_role("button", name="Pause").click()
    assert opened("[...document.querySelectorAll('audio')].every(a => a.paused)")
    head = opened("parseFloat(document.querySelectorAll('.player .playhead')[1].style.left)")
    assert head > 10
    assert opened("document.querySelectorAll('.sight.chosen').length") == 1


def test_a_click_into_a_picture_plays_that_version_from_there(opened, recordings):
    opened.give(recordings / "a.wav")
    opened.clean()
    opened.done()
    opened.wait(SOUND.format(0, "readyState") + " >= 2")
    image = opened.page.locator(".sight .image").first
    box = image.bounding_box()
    image.click(position={"x": box["width"] / 2, "y": 30})
    assert opened(CHOSEN) == "0"
    opened.wait(SOUND.format(0, "currentTime") + " > 1.05")
    slider = opened.page.get_by_label("Place in seconds")
    slider.fill("0.5")
    assert 0.4 < opened(SOUND.format(0, "currentTime")) < 1.0


def test_cancel_stops_the_work_and_the_next_one_works(opened, recordings, monkeypatch):
    made, ended = Enhancer.enhance_file, threading.Event()

    def slow(self: Enhancer, *arguments: Any, progress: Any, **options: Any) -> Any:
        try:
            for _ in range(600):
                time.sleep(0.05)
                progress(0.001)
        finally:
            ended.set()

    monkeypatch.setattr(Enhancer, "enhance_file", slow)
    opened.give(recordings / "a.wav")
    opened.clean()
    opened.page.get_by_role("progressbar").wait_for()
    assert opened.page.get_by_role("button", name="Clean it").is_disabled()
    opened.wait("document.querySelector('[role=progressbar]')?.ariaValueNow > 0")
    opened.page.get_by_role("button", name="Cancel").click()
    assert "Cancelled; nothing was kept." in opened.done()
    assert ended.wait(5)
    monkeypatch.setattr(Enhancer, "enhance_file", made)
    opened.clean()
    opened.page.locator(".player").wait_for()
    assert "Done." in opened.done()


def test_errors_are_said(opened, served, recordings):
    opened.clean()
    assert "there is no recording yet; choose a file, or record one" in opened.done()
    opened.give(recordings / "broken.wav")
    opened.clean()
    opened.wait("document.querySelector('#status').innerText.includes('broken.wav')")
    said = opened.page.get_by_role("alert").inner_text()
    assert "broken.wav: " in said
    assert str(served[1]) not in said
    assert opened.page.locator("#clean-it").is_enabled()


def test_what_is_too_long_is_said(opened, recordings):
    opened.give(recordings / "long.wav")
    opened.clean()
    says = "long.wav is 0.7 minutes long, and this page takes 0.5; sgmse enhance"
    assert says in opened.done()


def test_several_files_and_a_zip(opened, recordings):
    opened.give(*(recordings / name for name in ("a.wav", "broken.wav", "b.flac")))
    opened.clean()
    assert "2 recordings, 1 failed" in opened.done()
    with zipfile.ZipFile(opened.saved("All results as a zip")) as archive:
        assert archive.namelist() == ["a_enhanced.wav", "b_enhanced.flac"]
        assert archive.testzip() is None
    assert opened.page.locator("details").count() == 3
    opened.page.locator("summary", has_text="b.flac").click()
    assert opened.page.locator("details", has_text="b.flac").locator(".play").is_visible()


def test_scores_where_there_is_a_clean_recording(opened, recordings):
    opened.give(recordings / "a.wav")
    opened.page.get_by_role("button", name="More").click()
    opened.give(recordings / "clean.wav", to="#clean")
    opened.clean()
    opened.page.locator(".scores").wait_for(timeout=180_000)
    assert "SI-SDR [dB]" in opened.page.locator(".scores").inner_text()


def test_samples_of_a_model_that_draws(opened):
    """The score model, of the example that is shipped."""
    assert not opened.page.locator("#samples").is_visible()
    opened.page.get_by_label("Model").click()
    opened.page.get_by_role("option", name="Score").click()
    opened.page.locator("#samples").wait_for()
    opened.page.locator("#samples input[type=number]").fill("2")
    opened.page.get_by_role("button", name="Try an example").click()
    opened.page.locator("#files .file-preview tr").wait_for()
    opened.clean()
    opened.page.locator(".player").wait_for(timeout=180_000)
    assert opened.page.locator(".switch label").all_inner_texts() == [
        "Before",
        "Sample 1",
        "Sample 2",
    ]
    assert opened.page.get_by_alt_text("where the samples differ").count() == 1
    assert opened.page.locator("a.load").count() == 2


def test_a_recording_of_the_microphone(chromium, served):
    found = Opened(chromium, served[0], permissions=["microphone"])
    found.page.locator("#spoken").get_by_role("button", name="Record").click()
    found.page.wait_for_timeout(1500)
    found.page.locator("#spoken").get_by_role("button", name="Stop").first.click()
    found.page.wait_for_timeout(1500)
    found.clean()
    assert "Done. 1 recording" in found.done()
    found.context.close()


def test_only_its_own_folder_is_served(served, model):
    address, folder = served
    for path in (Path(__file__), Path("/etc/hostname"), folder.parent, model / "config.json"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{address}gradio_api/file={path}")
        assert error.value.code in (403, 404)
    own = folder / "own.txt"
    own.write_text("mine")
    with urllib.request.urlopen(f"{address}gradio_api/file={own}") as answer:
        assert answer.read() == b"mine"
        assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_what_a_tab_has_left_is_forgotten(chromium, served, recordings):
    address, folder = served
    found = Opened(chromium, address)
    found.give(recordings / "a.wav")
    found.clean()
    found.done()
    assert len(list(folder.glob("results-*"))) >= 1
    found.clean()
    found.page.wait_for_timeout(500)
    found.done()
    before = set(folder.glob("results-*"))
    found.context.close()
    end = time.monotonic() + 40
    while before & set(folder.glob("results-*")) and time.monotonic() < end:
        time.sleep(0.5)
    assert not before & set(folder.glob("results-*"))


def test_axe_finds_nothing_serious(chromium, served, recordings):
    """axe-core, the checks of Lighthouse; before and after the work."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra app-test")
    found = Opened(chromium, served[0])
    for step in ("before", "after"):
        if step == "after":
            found.give(recordings / "a.wav")
            found.clean()
            found.done()
        violations = axe.Axe().run(found.page).response["violations"]
        named = [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] != "minor"]
        assert named == [], step
    found.context.close()


def test_what_is_too_large_is_said(chromium, served, tmp_path):
    found = Opened(chromium, served[0])
    (tmp_path / "large.wav").write_bytes(bytes(4_000_000))
    found.page.locator("#files input[type=file]").set_input_files(tmp_path / "large.wav")
    found.page.get_by_text("maximum allowed size of 2.9 Mb", exact=False).first.wait_for()
    found.context.close()


def test_who_comes_meanwhile_waits_and_may_give_up(chromium, served, recordings, monkeypatch):
    made, asked, go_on = Enhancer.enhance_file, [], threading.Event()

    def held(self: Enhancer, source: Any, *arguments: Any, progress: Any, **options: Any) -> Any:
        asked.append(Path(source).name)
        while not go_on.wait(0.05):
            progress(0.0001)
        return made(self, source, *arguments, progress=progress, **options)

    monkeypatch.setattr(Enhancer, "enhance_file", held)
    first, second = (Opened(chromium, served[0]) for _ in range(2))
    first.give(recordings / "a.wav")
    second.give(recordings / "b.flac")
    first.clean()
    first.page.get_by_role("progressbar").wait_for()
    second.clean()
    second.page.get_by_text("Waiting: one recording is worked on at a time.").wait_for()
    second.page.get_by_role("button", name="Cancel").click()
    assert "Cancelled" in second.done()
    go_on.set()
    assert "Done." in first.done()
    second.page.wait_for_timeout(1000)
    assert asked == ["a.wav"]
    second.clean()
    second.page.locator(".player").wait_for()
    assert asked == ["a.wav", "b.flac"]
    for found in (first, second):
        found.context.close()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of rgb(r, g, b)."""
    parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_and_used_without_a_mouse(chromium, served, recordings, theme, tmp_path):
    """Names of all controls, contrast of all that is written (WCAG 2: 4.5), width of a phone."""
    found = Opened(chromium, served[0], color_scheme=theme)
    found.give(recordings / "a.wav")
    found.clean()
    found.done()
    found.page.screenshot(path=tmp_path / f"page-{theme}.png", full_page=True)
    unnamed = """[...document.querySelectorAll('button, input, select, textarea, a[href]')]
        .filter(e => e.offsetParent && !(e.ariaLabel || e.innerText?.trim() || e.title ||
            e.labels?.length || e.getAttribute('aria-labelledby') || e.type === 'file'))
        .map(e => e.outerHTML.slice(0, 160))"""
    assert found(unnamed) == []
    written = """['h1', '.title-line p', '.card h2', '.said', '.hint', '.player h3', '.time',
        '.switch span', '.sight figcaption', '.hertz', '.load', '#clean-it'].map(name => {
            const e = document.querySelector(name);
            let ground = e;
            const clear = () => /rgba|\\//.test(getComputedStyle(ground).backgroundColor);
            while (clear()) ground = ground.parentElement;
            return [name, getComputedStyle(e).color, getComputedStyle(ground).backgroundColor];
        })"""
    for name, ink, paper in found(written):
        low, high = sorted([luminance(ink), luminance(paper)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ink, paper)
    shade = luminance(found("getComputedStyle(document.querySelector('.card')).backgroundColor"))
    assert shade < 0.05 if theme == "dark" else shade > 0.9
    for width, height in product((360, 390, 768, 1280), (800,)):
        found.page.set_viewport_size({"width": width, "height": height})
        found.page.wait_for_timeout(100)
        assert found("document.documentElement.scrollWidth") <= width
    found.context.close()
