"""The report: whole, self-contained, safe against its names; in a real browser it does its work."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from browser import browser_with

from sgmse.data.pairs import Unmatched
from sgmse.metrics.measures import select
from sgmse.report import page as module
from sgmse.report.clips import make_clips
from sgmse.report.page import require, write_report
from sgmse.scoring.journal import Row
from sgmse.scoring.scores import Scores
from sgmse.scoring.table import Table

pytest.importorskip("matplotlib")

DATA = Path(__file__).resolve().parents[1] / "data"
MEASURES = select(["pesq-wb", "si-sdr", "lsd"])
SYSTEMS = ("noisy", "ours, 4 steps", "peer")
FILES = {"clean": DATA / "clean.wav", "noisy": DATA / "noisy.wav", "peer": DATA / "noisy.wav"}
COSTS = {"ours, 4 steps": {"evaluations": 4, "real-time factor": 0.1}, "peer": {"evaluations": 1}}
COUNT = 9

#: Where no chart is looked at, which take the longest to be drawn.
PLAIN: dict[str, Any] = {"costs": None, "by": []}

HOSTILE = (
    '<img src=x onerror="hacked=1">',
    '"><script>hacked=1</script>',
    "</script><script>hacked=1</script>",
    "' autofocus onfocus='hacked=1",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; \u202egnp.exe",
)


def made(names: list[str] | None = None, systems: tuple[str, ...] = SYSTEMS) -> Scores:
    """Scores of COUNT recordings: the later, the better; the third system has no score of one."""
    rng = np.random.default_rng(0)
    rows = []
    for i, name in enumerate(names or [f"f{i}" for i in range(COUNT)]):
        for k, system in enumerate(systems):
            values: dict[str, float | None] = {
                "PESQ-WB": 1.2 + 0.2 * i + [0, 1, 0.4][k] + rng.normal(0, 0.02),
                "SI-SDR": 9.5 + 5 * [0, 1, -2][k] + rng.normal(0, 0.1),
                "LSD": 2 - 0.5 * [0, 1, 0.4][k] + rng.normal(0, 0.1),
            }
            problems = {}
            if k == 2 and i == 1:
                values["PESQ-WB"], problems = None, {"PESQ-WB": "no speech was found"}
            facts = {"snr_db": str(i % 3 * 5 - 5), "noise": "ab"[i % 2], "time": str(k)}
            rows.append(Row(name, system, "", 0, values, problems, facts, 7.1, 16000))
    return Scores(tuple(rows), MEASURES, hashes={"peer": "0123abcd"})


def made_audio(scores: Scores, files: dict[str, Path] = FILES) -> dict[tuple[str, str], Any]:
    return {(row.set, row.name): files for row in scores.rows}


def write(
    folder: Path, scores: Scores | None = None, baseline: str | None = None, **more: Any
) -> str:
    scores = made() if scores is None else scores
    more = {"audio": made_audio(scores), "costs": COSTS, "seconds": 0.4, "files": 2, **more}
    page = write_report(Table(scores, baseline), folder / "report.html", **more)
    return page.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """All tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def worst(system: str = "peer") -> str:
    """The name of the recording that got worst by the first measure."""
    return Table(made()).changes[system]["PESQ-WB"][0].recording[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page"), command="sgmse bench suite.yaml")


@pytest.mark.slow
def test_the_page_needs_nothing_else(page):
    found = Elements(page)
    for tag, attributes in found.tags:
        for name in ("src", "href", "data", "srcset", "poster", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#")), (tag, name, value[:50])
    assert "url(" not in page
    assert "@import" not in page
    (policy,) = [m["content"] for m in found.of("meta") if "content" in m and "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")
    assert str(DATA) not in page


def test_what_is_on_the_page(page):
    found = Elements(page)
    for text in ("f0", "f8", "no speech was found", "0123abcd", "sgmse bench suite.yaml", "numpy"):
        assert text in found.text
    assert len(found.of("audio")) == 2 * 3  # recordings x files
    assert len(found.of("img")) == 2 * 3
    assert [a["alt"] for a in found.of("img")][:2] == [
        "Spectrogram of clean",
        "Spectrogram of noisy",
    ]
    charts = [f["data-measure"] for f in found.of("figure") if "data-measure" in f]
    assert charts == [m.name for m in MEASURES] * 4  # two costs, two facts
    chosen = "first 1 that got worst against noisy by PESQ-WB, the worst of each system before the"
    assert f"2 of 9 recordings, {chosen} second of each, then 1 evenly spaced from" in found.text
    assert "time" not in re.findall(r"<span>(\w+) <b>", page)  # is not the same for all systems
    scores = made().rows_of("noisy")[0].values
    for measure in MEASURES:
        assert f"<dd>{scores[measure.name]:.{measure.digits}f}</dd>" in page


def test_the_worst_recordings_are_listed_and_lead_to_their_sounds(page):
    """Of each system and measure, the worst first; those on the page are links to their cards."""
    table = Table(made())
    lists = re.findall(r'data-worst="(.*?)">(.*?)</table>', page, re.DOTALL)
    assert [name for name, _ in lists] == [m.name for m in MEASURES]
    heard = re.findall(r'<article class="recording" id="(.*?)">\s*<h3><bdi>(.*?)</bdi>', page)
    assert [name for _, name in heard] == [worst(), "f0"]
    for measure, (_, listed) in zip(MEASURES, lists, strict=True):
        rows = re.findall(r'<tr data-kind="(.)">(.*?)</tr>', listed)
        for (kind, cells), system in zip(rows, SYSTEMS[1:], strict=True):
            assert SYSTEMS[int(kind)] == system
            found = table.changes[system][measure.name]
            assert len(found) == (8 if (system, measure) == ("peer", MEASURES[0]) else COUNT)
            names = re.findall(r"<bdi>(f.)</bdi>", cells)
            assert names == [change.recording[1] for change in found]
            assert found[0].gain == min(change.gain for change in found)
            shown = re.findall(r">(?:</span> )?([+-][\d.]+)</small>", cells.replace("> ", ">"))
            digits = measure.digits
            assert shown == [f"{c.value - c.baseline:+.{digits}f}" for c in found]
            marks = re.findall(r'class="change ?(\w*) ?"', cells)
            noise = measure.noise
            assert marks == [
                "worse" if c.gain < -noise else "better" if c.gain > noise else "" for c in found
            ]
            links = dict(re.findall(r'<a href="#(.*?)"><bdi>(.*?)</bdi></a>', cells))
            assert links.items() <= dict(heard).items()
            assert "f0" in links.values()
    own = re.search(
        rf"<h3><bdi>{worst()}</bdi>.*?among the worst by PESQ-WB of (.*?)</p>", page, re.S
    )
    assert re.search(r"<bdi>peer</bdi> <b>1\. [+-]0\.\d{3}</b>", own[1])


def test_each_card_has_its_own_sound_and_picture(tmp_path):
    found = Elements(write(tmp_path, coding="flac", files=["f0"], **PLAIN))
    expected = make_clips(FILES, seconds=0.4, coding="flac")
    assert [a["src"] for a in found.of("audio")] == [clip.sound for clip in expected]
    assert [a["src"] for a in found.of("img")] == [clip.picture for clip in expected]
    assert [a["aria-label"] for a in found.of("audio")] == [clip.label for clip in expected]


@pytest.mark.slow
def test_names_are_text_wherever_they_come_from(tmp_path, monkeypatch):
    systems = (HOSTILE[0], HOSTILE[1], HOSTILE[2])
    names = [*HOSTILE, "bad \udcff bytes"]
    scores = made(names, systems)
    rows = [
        replace(
            row,
            set=HOSTILE[1],
            facts={HOSTILE[1]: row.facts["noise"], "snr_db": row.facts["snr_db"], "x": HOSTILE[3]},
            problems=dict.fromkeys(row.problems, HOSTILE[0]),
        )
        for row in scores.rows
    ]
    alone = {systems[0]: (Unmatched(Path(HOSTILE[2]), "is alone"),)}
    scores = replace(scores, rows=tuple(rows), unmatched=alone, hashes={HOSTILE[0]: HOSTILE[1]})
    files = {
        HOSTILE[3]: DATA / "clean.wav",
        systems[1]: DATA / "noisy.wav",
        systems[2]: Path(HOSTILE[0]),
    }
    clips = make_clips(files, seconds=0.4)  # all recordings have the same files
    monkeypatch.setattr(module, "make_clips", lambda *_, **__: clips)
    page = write(
        tmp_path,
        scores,
        audio=made_audio(scores, files),
        costs={systems[0]: {HOSTILE[1]: 2.0}},
        title=HOSTILE[2],
        command=HOSTILE[1],
        files=len(names),
    )
    found = Elements(page)
    assert len(found.of("script")) == 1
    for tag, attributes in found.tags:
        handlers = {name for name in attributes if name.startswith("on")} | (
            {"autofocus"} & attributes.keys()
        )
        assert not handlers, (tag, handlers)
    for name in HOSTILE:
        assert name in found.text
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", page)


def test_scores_alone_make_a_page(tmp_path):
    page = write(tmp_path, audio=None, files=6, **PLAIN)
    assert "Recordings</h2>" not in page
    assert not Elements(page).of("audio")
    scores = replace(made(), rows=tuple(replace(r, facts={}) for r in made().rows_of("peer")))
    page = write(tmp_path, scores, audio=None, costs=None)
    assert "Charts</h2>" not in page
    assert "Wilcoxon" not in page
    assert "1 system, " in page


def test_seeds_count_once(tmp_path):
    scores = made()
    more = [replace(row, seed=1) for row in scores.rows]
    page = write(tmp_path, replace(scores, rows=scores.rows + tuple(more)), files=0, **PLAIN)
    assert "with its mean over 2 seeds" in page
    assert "seeds" not in write(tmp_path, files=0, **PLAIN)


def test_a_file_that_cannot_be_read_is_on_the_page(tmp_path):
    scores = made()
    audio = made_audio(scores, {**FILES, "peer": tmp_path / "gone.wav"})
    page = write(tmp_path, audio=audio, **PLAIN)
    assert page.count("no such file") == 2
    assert len(Elements(page).of("audio")) == 4


def test_recordings_by_name(tmp_path):
    page = write(tmp_path, files=["f3"], **PLAIN)
    assert re.findall(r"<h3><bdi>(.*?)</bdi>", page) == ["f3"]
    assert "1 of 9 recordings; the first 0.4 s of each" in page
    with pytest.raises(ValueError, match=r"no recording 'f3\.wav' to listen to"):
        write(tmp_path, files=["f3.wav"], **PLAIN)


@pytest.mark.slow
def test_the_size_is_kept(tmp_path, monkeypatch):
    """The limit takes recordings away, evenly, and the page tells; a limit too small is refused."""
    clips = make_clips(FILES, seconds=0.4)  # all recordings have the same files
    monkeypatch.setattr(module, "make_clips", lambda *_, **__: clips)
    few = PLAIN
    bare = len(write(tmp_path, files=0, **few).encode())
    whole = len(write(tmp_path, files=3, **few).encode())
    limit = bare + 0.7 * (whole - bare)
    page = write(tmp_path, files=3, megabytes=limit / 1e6, **few)
    assert bare < len(page.encode()) <= limit
    assert re.findall(r"<h3><bdi>(.*?)</bdi>", page) == [worst(), "f0"]
    assert "3 were asked for; more would not fit into" in page
    page = write(tmp_path, files=3, megabytes=(bare + 500) / 1e6, **few)
    assert "3 recordings were asked for; not one fits into" in page
    for refused in ({"files": 3, "megabytes": 0.01}, {"files": ["f1"], "megabytes": bare / 1e6}):
        with pytest.raises(ValueError, match=r"more than .* MB; allow more, or ask for fewer"):
            write(tmp_path, **refused, **few)
    assert "not one fits" in (tmp_path / "report.html").read_text()  # the last one that was written


def test_bad_arguments_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make_clips", None)
    for error, more in (
        ("no system is called 'x'; there are noisy,", {"baseline": "x"}),
        ("no recording has a fact 'x'", {"by": ["x"]}),
        ("no coding is called 'mp3'", {"coding": "mp3"}),
        ("longer than 0 s", {"seconds": 0}),
        ("at least 0, not -1", {"files": -1}),
        ("no scores to report", {"scores": replace(made(), rows=())}),
    ):
        with pytest.raises(ValueError, match=error):
            write(tmp_path, **more)
    assert not list(tmp_path.iterdir())


def test_a_report_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    assert write_report(Table(made()), path, by=[]) == path
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report(Table(made()), path, title="another", by=[])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_packages_are_asked_for(package, monkeypatch, tmp_path):
    require()
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"'{package}': pip install 'sgmse-toolkit\[report\]'"
    with pytest.raises(ImportError, match=message):
        require()
    with pytest.raises(ImportError, match=message):
        write(tmp_path)


def test_progress_is_told(tmp_path):
    told = []
    write(tmp_path, **PLAIN, progress=lambda *stage: told.append(stage))
    assert told == [("report", 0, 2), ("report", 1, 2), ("report", 2, 2)]


# In a real browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium of this machine, headless, which reaches no network."""
    with browser_with() as browser:
        yield browser


class Opened:
    """A page in a browser, what it asked for and what it complained of."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url[:60]))
        self.page.on("console", lambda m: self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(path.as_uri())

    def __call__(self, script: str) -> Any:
        return self.page.evaluate(script)

    def column(self, number: int) -> list[str]:
        rows = "[...document.querySelector('table.scores').tBodies[0].rows]"
        return self(f"{rows}.map(row => row.cells[{number}].dataset.value)")

    def shown(self, selector: str) -> int:
        """How many of these elements take up room."""
        elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
        size = "(box => box.width + box.height)(e.getBoundingClientRect())"
        return self(f"{elements}.filter(e => {size} > 0).length")

    def wait(self, condition: str, seconds: float = 10) -> None:
        """Until it holds; playwright's own way needs eval, which the page forbids."""
        end = monotonic() + seconds
        while not self(condition):
            assert monotonic() < end, condition
            self.page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write(folder, seconds=2.0)
    return folder / "report.html"


@pytest.fixture
def opened(chromium: Any, path: Path) -> Iterator[Opened]:
    found = Opened(chromium, path)
    yield found
    assert found.complaints == []
    found.page.close()


def test_the_browser_asks_for_nothing(opened, path):
    assert [url for url in opened.requests if not url.startswith("data:")] == [path.as_uri()[:60]]
    assert opened("document.images.length") == 6
    assert opened("[...document.images].every(i => i.complete && i.naturalHeight > 50)")


def test_columns_sort_by_a_click_and_by_the_keyboard(opened):
    heads = opened.page.locator("table.scores thead button")
    pesq = [float(value) for value in opened.column(1)]
    heads.nth(1).click()
    assert [float(value) for value in opened.column(1)] == sorted(pesq, reverse=True)
    assert opened.page.locator("[aria-sort=descending]").inner_text().startswith("PESQ-WB")
    heads.nth(1).focus()
    opened.page.keyboard.press("Enter")
    assert [float(value) for value in opened.column(1)] == sorted(pesq)
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Space")  # SI-SDR, with values of one and two digits and below 0
    sdr = [float(value) for value in opened.column(2)]
    assert sdr == sorted(sdr, reverse=True)
    assert sdr[-1] < 0 < 10 < sdr[0]
    assert opened("document.querySelectorAll('[aria-sort=none]').length") == 8
    heads.nth(3).click()  # LSD, of which less is better
    lsd = [float(value) for value in opened.column(3)]
    assert lsd == sorted(lsd)
    heads.nth(0).click()
    assert opened.column(0) == sorted(SYSTEMS)
    for _ in range(2):  # what is empty stays last
        heads.nth(5).click()
        assert opened.column(5)[1:] == ["", ""]


def test_the_worst_are_of_the_chosen_measure_and_a_click_leads_to_their_sounds(opened):
    assert opened.shown("[data-worst]") == opened.shown("[data-worst='PESQ-WB']") == 1
    opened.page.select_option("#worst-measure", "LSD")
    assert opened.shown("[data-worst]") == opened.shown("[data-worst=LSD]") == 1
    opened.page.select_option("#worst-measure", "PESQ-WB")
    link = opened.page.locator("[data-worst=PESQ-WB] a[href='#r0']").last
    assert link.inner_text() == worst()
    link.click()
    assert opened("location.hash") == "#r0"
    top = opened("document.querySelector(':target').getBoundingClientRect().top")
    assert -1 <= top < 900
    assert opened("document.querySelector(':target audio').ariaLabel") == "clean"


def test_charts_are_of_the_chosen_measure(opened):
    assert opened.shown("figure[data-measure]") == 4
    opened.page.select_option("#measure", "LSD")
    assert opened.shown("figure[data-measure=LSD]") == opened.shown("figure[data-measure]") == 4
    opened.page.select_option("#measure", "")
    assert opened.shown("figure[data-measure]") == 12


def test_systems_can_be_left_out(opened):
    shown = opened.shown("[data-kind='2']")
    assert shown > 2
    opened.page.get_by_role("checkbox", name="peer").uncheck()
    assert opened.shown("[data-kind='2']") == 0
    assert opened.shown("[data-kind='0']") > 2
    opened.page.get_by_role("checkbox", name="peer").check()
    assert opened.shown("[data-kind='2']") == shown


def test_players_play_one_at_a_time_and_go_on_at_the_same_place(opened):
    play = "document.querySelectorAll('audio')[{}].play()".format
    now = "document.querySelectorAll('audio')[{}].currentTime".format
    opened(play(0))
    opened.wait(now(0) + " > 0.4")
    assert opened("document.querySelectorAll('audio')[0].duration") == pytest.approx(2, abs=0.05)
    place = float(opened("parseFloat(document.querySelectorAll('.head')[0].style.left)"))
    assert place > 5
    opened(play(1))
    assert opened("document.querySelectorAll('audio')[0].paused")
    assert opened(now(1)) >= 0.4
    opened(play(3))  # of another recording
    assert opened(now(3)) < 0.4
    assert opened("[...document.querySelectorAll('audio')].filter(a => !a.paused).length") == 1
    opened.page.locator("#same-place").uncheck()
    opened(play(4))
    assert opened(now(4)) < 0.4


def test_a_click_into_a_spectrogram_plays_from_there(opened):
    picture = opened.page.locator(".picture").nth(2)
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert opened("document.querySelectorAll('audio')[2].currentTime") >= 0.95  # of 2 s
    opened.wait("document.querySelectorAll('audio')[2].currentTime > 1.05")


def test_everything_can_be_reached_by_keyboard(opened):
    opened.page.keyboard.press("Tab")
    reached = set()
    for _ in range(200):
        reached.add(opened("document.activeElement.localName + (document.activeElement.id || '')"))
        if "audio" in reached:
            break
        opened.page.keyboard.press("Tab")
    assert reached >= {"a", "button", "selectmeasure", "input", "inputsame-place", "audio"}


def test_flac_plays_too(chromium, tmp_path):
    write(tmp_path, coding="flac", files=1, seconds=1.0, **PLAIN)
    opened = Opened(chromium, tmp_path / "report.html")
    opened("document.querySelector('audio').play()")
    assert opened("document.querySelector('audio').duration") == pytest.approx(1)
    assert not opened.complaints
    opened.page.close()


def test_hostile_names_do_nothing_in_a_browser(chromium, tmp_path):
    scores = made(list(HOSTILE), (HOSTILE[0], HOSTILE[1], HOSTILE[2]))
    files = {"clean": DATA / "clean.wav", HOSTILE[1]: DATA / "noisy.wav"}
    audio = made_audio(scores, files)
    write(tmp_path, scores, audio=audio, costs={}, title=HOSTILE[0], files=len(HOSTILE))
    opened = Opened(chromium, tmp_path / "report.html")
    assert opened("typeof hacked") == "undefined"
    assert opened.complaints == []  # the policy had nothing to refuse either
    names = opened("[...document.querySelectorAll('h3 bdi')].map(e => e.textContent)")
    assert sorted(names) == sorted(HOSTILE)
    assert opened("document.title") == HOSTILE[0]
    assert sorted(opened.column(0)) == sorted(HOSTILE[:3])
    opened.page.close()


def test_text_is_readable_in_every_theme(opened):
    """WCAG 2: a contrast of 4.5, of text and of the names in charts."""
    style = "getComputedStyle(document.documentElement)"
    names = ["--ink", "--faint", "--better", "--worse", *(f"--c{k}" for k in range(10))]
    for theme, medium in product(("light", "dark"), ("screen", "print")):
        opened.page.emulate_media(media=medium, color_scheme=theme)
        of = f"{[*names, '--paper', '--raised']}.map(name => {style}.getPropertyValue(name).trim())"
        *values, paper, raised = opened(of)
        for name, colour in zip(names, values, strict=True):
            for ground in (paper, raised):
                assert contrast(colour, ground) >= 4.5, (theme, medium, name, colour, ground)
        shade = luminance(opened("getComputedStyle(document.body).backgroundColor"))
        dark = theme == "dark" and medium == "screen"
        assert shade < 0.05 if dark else shade > 0.9


def test_the_page_fits_the_window(opened):
    for width in (360, 800, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        assert opened("document.documentElement.scrollWidth") <= width


def test_print_shows_no_controls(opened):
    opened.page.emulate_media(media="print")
    assert opened.shown("audio") == opened.shown("nav") == opened.shown("input") == 0
    assert opened.shown("img") == 6
    assert opened.shown("figure[data-measure]") == 4


def test_without_scripts_all_is_there(chromium, path):
    opened = Opened(chromium, path, java_script_enabled=False)
    assert opened.page.locator("figure[data-measure]").last.is_visible()
    assert opened.page.locator("audio").first.is_visible()
    assert not opened.page.locator("#measure").is_visible()
    opened.page.close()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of #rgb, #rrggbb or rgb(r, g, b)."""
    if colour.startswith("#"):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) for i in (0, 2, 4)]
    else:
        parts = [int(part) for part in re.findall(r"\d+", colour)[:3]]
    scaled = [p / 255 for p in parts]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in scaled]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)
