"""The page itself, laid out with Gradio: recording, settings, and what comes of them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from queue import Empty, SimpleQueue
from shutil import rmtree
from tempfile import mkdtemp
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sgmse._extras import imported
from sgmse._files import write_whole
from sgmse.app import markup
from sgmse.app.work import Asked, Limits, Made, Models, Stopped, do, zipped
from sgmse.audio import SUFFIXES
from sgmse.errors import SgmseError
from sgmse.plot.house import colours

if TYPE_CHECKING:
    import gradio

EXAMPLE = "noisy.wav"
NO_LIMIT = "as much as can be"
#: How much quieter anything may become, in dB, as `--max-attenuation`.
LIMITS = {NO_LIMIT: None, "by 24 dB": 24.0, "by 12 dB": 12.0, "by 6 dB": 6.0}
CANCELLED = "Cancelled; nothing was kept."
LOOK = 0.15  # s between two looks at the work
NAMED = {
    "default": "Default: speech out of noise",
    "score": "Score: draws several possible results",
    "live": "Live: hears nothing ahead, as sgmse live",
    "restore": "Restore: rooms, clipping, gaps, narrow bands",
}
LOGO = (
    '<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="3.2" '
    'stroke-linecap="round" aria-hidden="true"><path d="M4 20v8M10 12v24M16 18v12M22 9v30" '
    'opacity=".42"/><path d="M28 24c3-9 5-9 8 0s5 9 8 0"/></svg>'
)


@dataclass
class Sessions:
    """What each open page is doing, and the folder of its last results.

    Args:
        folder: where all that is kept lies.
    """

    folder: Path
    stops: dict[str, threading.Event] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, session: str) -> None:
        """A page asks for something, and may have to wait for its turn."""
        self.stop(session)
        with self.lock:
            self.stops[session] = threading.Event()

    def begin(self, session: str) -> tuple[Path, threading.Event]:
        """Its turn: a new folder in place of the last one, and what stops the work in it."""
        with self.lock:
            self._forget(session)
            place = Path(mkdtemp(prefix="results-", dir=self.folder))
            self.folders[session] = place
            return place, self.stops.setdefault(session, threading.Event())

    def stop(self, session: str) -> None:
        """Stop what a page is doing or waiting for."""
        with self.lock:
            if session in self.stops:
                self.stops[session].set()

    def end(self, session: str) -> None:
        """Stop it and forget its results."""
        self.stop(session)
        with self.lock:
            self.stops.pop(session, None)
            self._forget(session)

    def _forget(self, session: str) -> None:
        if (place := self.folders.pop(session, None)) is not None:
            rmtree(place, ignore_errors=True)


class _Settings(NamedTuple):
    """What says how a recording is cleaned."""

    model: Any
    quality: Any
    samples: Any
    limit: Any
    strength: Any
    dry: Any
    band: Any
    clean: Any


def _recording(gr: Any) -> tuple[Any, Any, Any]:
    """Files, a microphone, and a button for an example."""
    with gr.Column(elem_classes="card"):
        gr.HTML("<h2><b>1</b>Recording</h2>")
        files = gr.File(
            label="Recordings: drop them here, or choose",
            file_count="multiple",
            file_types=[f".{suffix}" for suffix in SUFFIXES],
            height=150,
            elem_id="files",
        )
        spoken = gr.Audio(
            label="or record one",
            sources=["microphone"],
            type="filepath",
            editable=False,
            elem_id="spoken",
        )
        example = gr.Button("Try an example: a sentence beside a 3D printer", size="sm")
    return files, spoken, example


def _settings(gr: Any, models: Models, limits: Limits) -> _Settings:
    """The settings of the first model."""
    first = models.names[0]
    with gr.Column(elem_classes="card"):
        gr.HTML("<h2><b>2</b>Settings</h2>")
        model = gr.Dropdown(
            [(NAMED.get(name, name), name) for name in models.names],
            value=first,
            label="Model",
            elem_id="model",
        )
        quality = gr.Radio(
            _qualities(models, first),
            value=models.usual(first),
            label="Quality",
            info="better takes longer; gentle leaves a little noise, for recognisers",
            visible=bool(_qualities(models, first)),
            elem_id="quality",
        )
        samples = gr.Slider(
            1,
            limits.samples,
            value=3,
            step=1,
            label="Samples",
            info="possible results to draw; where they disagree is shown",
            visible=models.draws(first),
            elem_id="samples",
        )
        limit = gr.Radio(
            list(LIMITS),
            value=NO_LIMIT,
            label="Make noise quieter",
            info="a limit leaves some of it, which sounds more natural",
            elem_id="limit",
        )
        with gr.Accordion("More", open=False):
            strength = gr.Slider(
                0,
                2,
                value=1,
                step=0.05,
                label="Strength, times that of the model",
                info="1 is as it recommends; less leaves more of voice and noise",
                elem_id="strength",
            )
            dry = gr.Slider(
                0,
                1,
                value=0,
                step=0.05,
                label="Share of the recording to mix in",
                elem_id="dry",
            )
            band = gr.Checkbox(
                True,
                label="Keep the sound above 8 kHz, freed of noise",
                elem_id="upper-band",
            )
            clean = gr.File(
                label="The clean recording, if there is one: for scores",
                file_count="single",
                file_types=[f".{suffix}" for suffix in SUFFIXES],
                height=110,
                elem_id="clean",
            )
    return _Settings(model, quality, samples, limit, strength, dry, band, clean)


def build(models: Models, limits: Limits, folder: Path) -> "gradio.Blocks":
    """The page; it takes uploads and shows results from below `folder`.

    Raises `MissingPackageError` without gradio.
    """
    gr: Any = imported("gradio", "the page", "app")
    sessions = Sessions(folder)
    with gr.Blocks(title="sgmse: clean a recording", analytics_enabled=False) as page:
        gr.HTML(
            f'<div class="title-line">{LOGO}<div><h1>Clean a recording</h1><p>Removes noise from '
            "speech. Everything stays on this machine.</p></div></div>"
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                files, spoken, example = _recording(gr)
                settings = _settings(gr, models, limits)
                with gr.Row():
                    start = gr.Button("Clean it", variant="primary", elem_id="clean-it")
                    cancel = gr.Button("Cancel", elem_id="cancel", interactive=False)
            with gr.Column(scale=7, min_width=320, elem_classes="card"):
                gr.HTML("<h2><b>3</b>Result</h2>")
                status = gr.HTML("", elem_id="status")
                result = gr.HTML(
                    markup.waiting(),
                    elem_id="result",
                    js_on_load=_read("player.js"),
                    apply_default_css=False,
                )

        def ask(
            given: list[str] | None,
            recorded: str | None,
            model: str,
            quality: str | None,
            samples: float,
            limit: str,
            strength: float,
            dry: float,
            band: bool,
            clean: str | None,
            request: Any,
        ) -> Iterator[Any]:
            paths = [Path(path) for path in [*(given or []), *([recorded] if recorded else [])]]
            asked = Asked(
                paths,
                model,
                models.offered(model, quality),
                dry or None,
                LIMITS.get(limit),
                band,
                strength=strength,
                samples=int(samples),
                clean=Path(clean) if clean else None,
            )
            yield from _run(gr, asked, models, limits, sessions, str(request.session_hash))

        def enter(request: Any) -> Any:
            sessions.enter(str(request.session_hash))
            said = markup.said("Waiting: one recording is worked on at a time.")
            return said, *_buttons(gr, working=True)

        def give_up(request: Any) -> Any:
            sessions.stop(str(request.session_hash))
            return markup.said(CANCELLED), *_buttons(gr, working=False)

        def closed(request: Any) -> None:
            sessions.end(str(request.session_hash))

        for function in (ask, enter, give_up, closed):  # by which Gradio knows who asks
            function.__annotations__["request"] = gr.Request

        def chosen(name: str) -> Any:
            offered = _qualities(models, name)
            return (
                gr.update(choices=offered, value=models.usual(name), visible=bool(offered)),
                gr.update(visible=models.draws(name)),
            )

        outputs = [status, result, start, cancel]
        more = {"show_progress": "hidden", "api_visibility": "private"}
        entered = start.click(enter, None, [status, start, cancel], queue=False, **more)
        asked = entered.then(ask, [files, spoken, *settings], outputs, concurrency_limit=1, **more)
        cancel.click(give_up, None, [status, start, cancel], cancels=[asked], queue=False, **more)
        example.click(lambda: [str(_example(folder))], None, files, queue=False, **more)
        varying = [settings.quality, settings.samples]
        settings.model.change(chosen, settings.model, varying, queue=False, **more)
        page.unload(closed)
    page.queue(max_size=limits.waiting, default_concurrency_limit=1, api_open=False)
    return cast("gradio.Blocks", page)


def theme() -> Any:
    """The house's colours in Gradio's words, without a font from elsewhere."""
    gr: Any = imported("gradio", "the page", "app")
    light, dark = colours("light"), colours("dark")
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    both = {
        "body_background_fill": ("#f3f5f8", "#0f1215"),
        "background_fill_primary": (light["paper"], "#191d22"),
        "background_fill_secondary": ("#f3f5f8", "#14171b"),
        "block_background_fill": (light["paper"], "#191d22"),
        "block_label_background_fill": (light["paper"], "#191d22"),
        "input_background_fill": (light["paper"], "#14171b"),
        "body_text_color": (light["ink"], dark["ink"]),
        "body_text_color_subdued": (light["faint"], dark["faint"]),
        "block_label_text_color": (light["faint"], dark["faint"]),
        "block_title_text_color": (light["ink"], dark["ink"]),
        "block_info_text_color": (light["faint"], dark["faint"]),
        "border_color_primary": (light["rule"], dark["rule"]),
        "block_border_color": (light["rule"], dark["rule"]),
        "input_border_color": ("#7b8794", "#77828f"),
        "checkbox_border_color": ("#7b8794", "#77828f"),
        "color_accent": (light["c0"], dark["c0"]),
        "color_accent_soft": ("#e3eefb", "#1b2c40"),
        "slider_color": (light["c0"], dark["c0"]),
        "checkbox_background_color_selected": (light["c0"], dark["c0"]),
        "checkbox_border_color_selected": (light["c0"], dark["c0"]),
        "checkbox_label_background_fill_selected": ("#e3eefb", "#1b2c40"),
        "checkbox_label_text_color_selected": (light["ink"], dark["ink"]),
        "button_primary_background_fill": (light["c0"], dark["c0"]),
        "button_primary_background_fill_hover": ("#094f9e", "#8cc3ff"),
        "button_primary_text_color": ("#ffffff", "#0f1215"),
        "button_secondary_background_fill": ("#e8ecf1", "#2a3038"),
        "button_secondary_text_color": (light["ink"], dark["ink"]),
    }
    values = {name: pair[0] for name, pair in both.items()}
    only_one = {"color_accent"}
    values |= {f"{name}_dark": pair[1] for name, pair in both.items() if name not in only_one}
    base = gr.themes.Base(primary_hue="blue", neutral_hue="slate", radius_size="lg", **fonts)
    return base.set(input_border_width="1px", **values)


def head() -> str:
    """What stands in the head of the page: its style sheet."""
    return f"<style>{_read('page.css')}</style>"


def _run(
    gr: Any, asked: Asked, models: Models, limits: Limits, sessions: Sessions, session: str
) -> Iterator[Any]:
    """The work, in a thread of its own, while the page is told how far it is."""
    place, stop = sessions.begin(session)
    if stop.is_set():  # while it waited
        yield markup.said(CANCELLED), gr.skip(), *_buttons(gr, working=False)
        return
    told: SimpleQueue[tuple[float, str]] = SimpleQueue()
    outcome: list[list[Made] | Exception] = []

    def work() -> None:
        try:
            report: Callable[[float, str], None] = lambda share, what: told.put((share, what))  # noqa: E731
            outcome.append(do(asked, place, models, limits=limits, report=report, stop=stop))
        except Exception as error:
            outcome.append(error)

    start = perf_counter()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        share, what = 0.0, "starting"
        while thread.is_alive() and not stop.is_set():
            yield markup.progress(share, what), gr.skip(), *_buttons(gr, working=True)
            thread.join(LOOK)
            while not told.empty():
                share, what = _latest(told, (share, what))
    finally:
        if thread.is_alive():
            stop.set()  # the tab was closed, or somebody gave up
    thread.join()  # at its next report: who asks again must not wait behind it
    made = outcome[0]
    if isinstance(made, Stopped):
        yield markup.said(CANCELLED), gr.skip(), *_buttons(gr, working=False)
    elif isinstance(made, Exception):
        yield markup.alert(_problem(made)), gr.skip(), *_buttons(gr, working=False)
    else:
        good = [one for one in made if not one.error]
        archive = zipped(good, place / "enhanced.zip") if len(good) > 1 else None
        shown = markup.results(made, archive) if good or len(made) > 1 else markup.waiting()
        said = markup.done(made, perf_counter() - start)
        said += "".join(markup.alert(one.error) for one in made if one.error and len(made) == 1)
        yield said, shown, *_buttons(gr, working=False)


def _latest(told: "SimpleQueue[tuple[float, str]]", last: tuple[float, str]) -> tuple[float, str]:
    try:
        return told.get_nowait()
    except Empty:
        return last


def _problem(error: Exception) -> str:
    """What is said of an error; one that is none of `sgmse.errors` is ours."""
    if isinstance(error, SgmseError | OSError):
        return " ".join(str(error).split())
    return f"this is a fault of sgmse, please report it: {type(error).__name__}: {error}"


def _buttons(gr: Any, working: bool) -> tuple[Any, Any]:
    return gr.update(interactive=not working), gr.update(interactive=working)


def _qualities(models: Models, name: str) -> list[tuple[str, str]]:
    return [(quality.capitalize(), quality) for quality in models.qualities(name)]


def _example(folder: Path) -> Path:
    """The recording that comes with the package, where the page serves from."""
    place = folder / "examples" / EXAMPLE
    if not place.exists():
        content = (package_files("sgmse.app") / "examples" / EXAMPLE).read_bytes()
        write_whole(place, content)
    return place


def _read(name: str) -> str:
    return (package_files("sgmse.app") / name).read_text(encoding="utf-8")
