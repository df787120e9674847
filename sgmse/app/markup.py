"""What the page shows of its work, as HTML: every name that comes from a file is text in it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from sgmse.app.work import Made, Version

PLAY = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 4v16l13-8z"/></svg>'
PAUSE = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 4h4v16H6zm8 0h4v16h-4z"/></svg>'


def waiting() -> str:
    """Before anything was done."""
    return (
        '<div class="empty"><p>The result appears here: listen to it before and after, at the same '
        "place, and take it home in the format it came in.</p></div>"
    )


def progress(share: float, what: str) -> str:
    """A bar; a screen reader is told in steps of a tenth."""
    percent = round(100 * share)
    spoken = f"{10 * (percent // 10)} percent, {what}"
    return (
        f'<div class="progress"><div class="bar" role="progressbar" aria-label="Progress" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<i style="width: {percent}%"></i></div>'
        f"<p><b>{percent} %</b> <bdi>{escape(what)}</bdi></p>"
        f'<p class="spoken" role="status">{escape(spoken)}</p></div>'
    )


def done(made: Sequence[Made], elapsed: float) -> str:
    """How it went, in a line."""
    good = sum(not one.error for one in made)
    seconds = sum(one.seconds for one in made)
    bad = f", {len(made) - good} failed" if good < len(made) else ""
    parts = f"{good} recording{'s' * (good != 1)}{bad}: {seconds:.1f} s of sound in {elapsed:.1f} s"
    return f'<p class="said good" role="status">Done. {parts}.</p>' if good else ""


def said(text: str) -> str:
    """What is no error."""
    return f'<p class="said" role="status">{escape(text)}</p>'


def alert(text: str) -> str:
    """What went wrong, and the remedy."""
    return f'<p class="said bad" role="alert"><bdi>{escape(text)}</bdi></p>'


def results(made: Sequence[Made], archive: Path | None) -> str:
    """All recordings; several are folded together below a list."""
    if len(made) == 1:
        return _player(made[0], 0)
    parts = ['<div class="many">']
    if archive is not None:
        parts.append(_download(archive, "All results as a zip"))
    for number, one in enumerate(made):
        mark = "failed" if one.error else f"{one.seconds:.1f} s"
        parts.append(
            f"<details{' open' if number == 0 else ''}><summary><bdi>{escape(one.name)}</bdi> "
            f"<small>{mark}</small></summary>{_player(one, number)}</details>"
        )
    return "".join([*parts, "</div>"])


def _player(one: Made, number: int) -> str:
    if one.error:
        return alert(one.error)
    title = f"<h3><bdi>{escape(one.name)}</bdi> <small>{one.seconds:.1f} s</small></h3>"
    switches = "".join(
        f'<label><input type="radio" name="version-{number}" value="{place}"'
        f"{' checked' if place == len(one.versions[:2]) - 1 else ''}><span>{escape(v.label)}</span>"
        "</label>"
        for place, v in enumerate(one.versions)
    )
    sounds = "".join(
        f'<audio preload="auto" src="{_url(v.sound)}" data-place="{place}"></audio>'
        for place, v in enumerate(one.versions)
    )
    chosen = 1
    pictures = "".join(
        _picture(one, v.label, v.picture, place, place == chosen)
        for place, v in enumerate(one.versions)
    )
    if one.disagreement is not None:
        pictures += _picture(one, "where the samples differ", one.disagreement, None, False)
    loads = "".join(_load(v, len(one.versions)) for v in one.versions)
    return (
        f'<section class="player" data-seconds="{one.seconds:.3f}" '
        f'aria-label="Before and after of {escape(one.name, quote=True)}">{title}'
        f'<div class="transport"><button type="button" class="play" aria-label="Play" '
        f'aria-pressed="false">{PLAY}{PAUSE}</button>'
        f'<div class="switch" role="radiogroup" aria-label="What is heard">{switches}</div>'
        f'<input class="place" type="range" min="0" max="{one.seconds:.3f}" step="0.01" value="0" '
        f'aria-label="Place in seconds"><output class="time">0.0 s</output></div>'
        '<p class="hint">B switches between before and after at the same place, space plays '
        "and pauses; a click into a picture plays from there.</p>"
        f'<div class="pictures">{pictures}</div>{sounds}{_scores(one)}{_notes(one)}'
        f'<div class="loads">{loads}</div></section>'
    )


def _picture(one: Made, label: str, file: Path, place: int | None, chosen: bool) -> str:
    heard = "" if place is None else f' data-place="{place}"'
    on = " chosen" if chosen else ""
    alt = escape(f"Spectrogram, {label}", quote=True)
    return (
        f'<figure class="sight{on}"{heard}><figcaption>{escape(label)}</figcaption>'
        f'<div class="plot"><div class="hertz" aria-hidden="true">'
        f"<span>{one.top / 1000:g} kHz</span><span>{one.top / 2000:g}</span><span>0</span></div>"
        f'<div class="image"><img src="{_url(file)}" alt="{alt}">'
        f'<i class="playhead"></i></div>'
        f'<div class="seconds" aria-hidden="true"><span>0</span><span>{one.seconds / 2:.1f}</span>'
        f"<span>{one.seconds:.1f} s</span></div></div></figure>"
    )


def _scores(one: Made) -> str:
    if not one.scores:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{before}</td><td>{after}</td></tr>'
        for name, before, after in one.scores
    )
    return (
        '<table class="scores"><caption>Against the clean recording</caption><thead><tr>'
        '<th scope="col">measure</th><th scope="col">before</th><th scope="col">after</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _notes(one: Made) -> str:
    lines = "".join(f"<li><bdi>{escape(line)}</bdi></li>" for line in one.notes)
    return f'<ul class="notes" aria-label="To be known of it">{lines}</ul>' if lines else ""


def _load(version: Version, count: int) -> str:
    if version.file is None:
        return ""
    return _download(version.file, f"Save {'the result' if count == 2 else version.label}")


def _download(file: Path, text: str) -> str:
    name = escape(file.name, quote=True)
    return (
        f'<a class="load" href="{_url(file)}" download="{name}">{escape(text)} '
        f"<small><bdi>{escape(file.name)}</bdi></small></a>"
    )


def _url(file: Path) -> str:
    """Where the page's server has a file of its folder."""
    return f"gradio_api/file={quote(file.as_posix())}"
