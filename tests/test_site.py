"""The site of the documentation: all public names, all pages, nothing from elsewhere."""

import hashlib
import importlib.util
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_docs import DOCS, blocks

import sgmse
from sgmse.audio import info
from sgmse.checkpoints import locate
from sgmse.cli import main as cli

ROOT = DOCS.parent
NAV = set(re.findall(r"[:-] ([\w./-]+\.md)$", (DOCS / "mkdocs.yml").read_text("utf-8"), re.M))


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference(hook):
    told = set(re.findall(r"^::: (\S+)$", "\n".join(hook.reference().values()), re.M))
    rooms = [getattr(sgmse, name) for name in dir(sgmse) if not name.startswith("_")]
    rooms = [room for room in rooms if inspect.ismodule(room)]
    assert len(rooms) > 20
    wanted = {"sgmse.load", "sgmse.Enhancer", "sgmse.errors.AudioError", "sgmse.model.ScoreModel"}
    wanted |= {"sgmse.data.degradations.Codec", "sgmse.training.losses.Denoising"}
    for room in rooms:
        names = getattr(room, "__all__", [])
        wanted |= {f"{room.__name__}.{n}" for n in names if not inspect.ismodule(getattr(room, n))}
    assert wanted <= told


def test_every_page_is_in_the_navigation(hook):
    """What has no place of its own yet is under "More"."""
    config = SimpleNamespace(nav=[{path: path} for path in NAV])
    pages = {path for path in hook.written() if path.startswith("docs/")}
    (more,) = [item["More"] for item in hook.on_config(config).nav if "More" in item] or [[]]
    assert len(pages) > 20
    assert pages == {*more, *(path for path in NAV if path.startswith("docs/"))}
    assert {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")} <= NAV
    assert {path for path in hook.written() if path.startswith("sgmse/pretrained/")} <= NAV


def test_the_gallery_is_whole_and_of_the_weights_that_ship():
    """After a change of weights: python benchmarks/gallery.py UNPACKED, whose head says of what."""
    folder = DOCS / "gallery"
    page = (folder / "README.md").read_text("utf-8")
    content = (locate("default") / "model.safetensors").read_bytes()
    assert f"the weights `{hashlib.sha256(content).hexdigest()[:12]}`" in " ".join(page.split())
    (made_of,) = re.findall(r"first\s+seeds as they come, with the weights `(\w+)`", page)
    assert (
        hashlib.sha256((locate("prior") / "model.safetensors").read_bytes()).hexdigest()[:12]
        == made_of
    )
    clips = set(re.findall(r'src="([^"]+\.opus)"', page))
    pictures = set(re.findall(r"!\[[^]]+\]\(([^)]+\.webp)\)", page))
    assert len(pictures) >= 12
    drawn = {clip for clip in clips if clip.startswith("drawn-")}
    assert len(drawn) >= 3
    assert len(clips - drawn) == 3 * len(pictures)
    assert {path.name for path in folder.iterdir()} == clips | pictures | {"README.md"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6
    assert page.count("**A failure: ") >= 3
    for before, after, rest in re.findall(r"ESTOI ([\d.]+) → ([\d.]+)\.(.*)", page):
        fails = float(after) < float(before) or float(after) < 0.5
        assert fails == ("**A failure: " in rest)
    for clip in clips:
        assert info(folder / clip).subtype == "OPUS"


def test_links_to_folders_and_notebooks_lead_to_pages(hook):
    class Files:
        def get_file_from_path(self, path):
            return path

    class Page:
        class file:  # noqa: N801
            src_uri = "docs/x.md"

    text = "[a](../notebooks/first_steps.ipynb) [b](../benchmarks/results) [c](theory.md#x)"
    assert hook.on_page_markdown(text, Page, None, Files()) == (
        "[a](../notebooks/first_steps.md) [b](../benchmarks/results/index.md) [c](theory.md#x)"
    )
    assert "designs.md" in hook.folder_page("benchmarks/results")
    assert "```python" in hook.notebook_page(ROOT / "notebooks" / "first_steps.ipynb")


def test_the_container_is_made_of_what_there_is():
    text = (DOCS / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in steps} <= known
    assert steps[0][0] == "FROM"
    assert re.search(r":\d", steps[0][1])  # a version
    copied = [word for name, rest in steps if name == "COPY" for word in rest.split()[:-1]]
    assert all((ROOT / word).exists() for word in copied)
    assert {"pyproject.toml", "README.md", "sgmse"} <= {*copied}  # what the build reads
    assert [name for name, _ in steps].index("USER") > [name for name, _ in steps].index("RUN")


# Slow: the commands of the guides, the site as it is built and read


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start.md", "guides/cleaning.md", "guides/many-files.md"])
def test_the_commands_run(page, tmp_path, monkeypatch):
    """In their order, in a folder with what they name; each result is there afterwards."""
    pytest.importorskip("av", reason="needs the extra media")
    import films

    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests/data/noisy.wav", "noisy.wav")
    Path("recordings").mkdir()
    shutil.copy("noisy.wav", "recordings/a.wav")
    Path("part.aa.scp").write_text("one noisy.wav\n")
    films.film(Path("film.mp4"), films.sound())
    shards(Path("recordings/a.wav"))
    lines = [line for text in blocks(DOCS / page, "") for line in text.splitlines()]
    commands = [line for line in lines if line.startswith("sgmse ") and runs_here(line)]
    assert commands
    for command in commands:
        if "-o clean/" in command and "--skip-existing" not in command:
            shutil.rmtree("clean", ignore_errors=True)  # of other examples
        if "<" in command:
            program = f'sgmse() {{ {shlex.quote(sys.executable)} -m sgmse "$@"; }}; {command}'
            subprocess.run(["bash", "-ec", program], check=True)
        else:
            Path("noisy_enhanced.wav").unlink(missing_ok=True)  # other examples, same name
            assert cli.main(shlex.split(command, comments=True)[1:]) == 0, command


def shards(recording: Path) -> None:
    """What the guide of many files speaks of: the recording in an archive and in a table."""
    Path("shards").mkdir()
    with tarfile.open("shards/train-0.tar", "w") as archive:
        archive.add(recording, "one.wav")
    if find_spec("pyarrow"):
        from pyarrow import parquet, table

        Path("data").mkdir()
        sound = {"bytes": recording.read_bytes(), "path": "one.wav"}
        parquet.write_table(table({"audio": [sound]}), "data/train-0.parquet")


def runs_here(command: str) -> bool:
    """Not what needs an extra that is absent, nor machines by the name of HEAD."""
    needs = {"parquet": "pyarrow", "--ray": "ray"}
    absent = [word for word, package in needs.items() if not find_spec(package)]
    return "HEAD" not in command and not any(word in command for word in absent)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    pytest.importorskip("material", reason="needs the extra docs")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(DOCS / "mkdocs.yml")]
    run = subprocess.run([*command, "-d", str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_loads_nothing_from_elsewhere(site, hook):
    for page, text in hook.reference().items():
        html = (site / page).with_suffix(".html").read_text("utf-8")
        room, *names = re.findall(r"^::: (\S+)$", text, re.M)
        assert [name for name in names if f'id="{name}"' not in html] == [], room
    loaded = r"<(?:script|img|audio|video|iframe)[^>]* src=\"(https?:[^\"]*)|<link[^>]*"
    loaded += r" href=\"(https?:[^\"]*\.css)"
    for page in site.rglob("*.html"):
        assert re.findall(loaded, page.read_text("utf-8")) == [], page
    assert (site / "index.html").read_text("utf-8").count("<table") >= 4  # between its comments
    theory = (site / "docs/theory.html").read_text("utf-8")
    assert theory.count("<math") > 200
    assert "$" not in re.sub(r"<script.*?</script>", "", theory, flags=re.S)
    assert re.search(r"<code>a = 1 - t,", (site / "reference/sgmse.sdes.html").read_text("utf-8"))


@pytest.mark.slow
def test_it_is_searched_offline(site):
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no browser here")
    left = []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.on("request", lambda request: left.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.locator("html.js").wait_for()
        page.wait_for_timeout(1000)
        page.keyboard.press("/")
        page.wait_for_timeout(500)
        page.keyboard.type("Schroedinger bridge", delay=20)
        page.locator(".md-search-result__item").first.wait_for()
        assert page.locator(".md-search-result__item").count() > 5
        chromium.close()
    assert [url for url in left if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
