"""The pages of the site: the Markdown files of the repository at their own paths, a reference.

A hook of MkDocs. As each file keeps its path, links between pages are the same on the site and
where the repository is read. What a page links to comes along; a folder that is linked to is a page
that lists what it holds; a notebook is a page of its cells. Formulas become MathML, which browsers
draw by themselves. The reference is made of the docstrings of every public name.
"""

import html
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**/*.md",
    "benchmarks/results/**/*.md",
    "sgmse/pretrained/*/README.md",
    "tests/data/LICENCE.md",
)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[)#])|(?<=src=\")(?!\w+:)([^\"]+)(?=\")")


def written() -> dict[str, str]:
    """Each page that somebody or a script has written: its path in the repository, its text."""
    paths = sorted({path for pattern in WRITTEN for path in ROOT.glob(pattern)})
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def target(page: str, link: str) -> str:
    """The path in the repository that a link of a page leads to."""
    return normpath(str(PurePosixPath(page).parent / link))


def linked(pages: dict[str, str]) -> Iterator[str]:
    """The files and folders, no pages, that pages link to; paths in the repository."""
    for page, text in pages.items():
        for found in LINK.finditer(text):
            path = target(page, found[0])
            if path not in pages and not path.startswith("..") and (ROOT / path).exists():
                yield path


def folder_page(path: str) -> str:
    """A page that lists a folder."""
    names = sorted(
        p.name for p in (ROOT / path).iterdir() if p.suffix in (".md", ".yaml", ".ipynb")
    )
    return f"# {path}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)


def notebook_page(path: Path) -> str:
    """The cells of a notebook."""
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts) + f"\n\n[The notebook]({path.name})\n"


# The reference


def rooms() -> list[str]:
    """The public modules of the package, by full name."""
    import sgmse

    names = ["sgmse"]
    for name in dir(sgmse):
        room = getattr(sgmse, name)
        if inspect.ismodule(room):
            names.append(room.__name__)
            names += _inner(room)
    return names


def _inner(room: ModuleType) -> Iterator[str]:
    """The rooms within a room: packages that say what is public."""
    for found in pkgutil.iter_modules(getattr(room, "__path__", [])):
        if found.ispkg and not found.name.startswith("_"):
            inner = importlib.import_module(f"{room.__name__}.{found.name}")
            if public(inner):
                yield inner.__name__
                yield from _inner(inner)


def public(room: ModuleType) -> list[str]:
    """The names that a room is for; of a file, what is defined in it and hides from nobody."""
    names = getattr(room, "__all__", None)
    if names is None:  # a file, or a room that says `from ... import Name as Name`
        said = re.findall(r"^(?:from .* import |    )(\w+) as \1,?$", inspect.getsource(room), re.M)
        own = [n for n, v in vars(room).items() if getattr(v, "__module__", "") == room.__name__]
        names = {*said, *own}
    kept = [n for n in names if not n.startswith("_") and not inspect.ismodule(getattr(room, n))]
    return sorted(kept, key=str.lower)


def reference() -> dict[str, str]:
    """A page for each room: what it says of itself, and each of its names."""
    pages = {}
    for room in rooms():
        module = importlib.import_module(room)
        lines = [f"# {room}", "", f"::: {room}", "    options:", "      members: false"]
        lines += ["      show_root_heading: false", "      show_root_toc_entry: false"]
        for name in public(module):
            lines += ["", f"::: {room}.{name}"]
        pages[f"reference/{room}.md"] = "\n".join(lines) + "\n"
    return pages


# The hook


def on_config(config: Any) -> Any:
    """Put pages that nobody has given a place, and the reference, into the navigation."""
    named = str(config.nav)
    rest = [path for path in written() if path.startswith("docs/") and f"'{path}'" not in named]
    if rest:
        config.nav.append({"More": rest})
    pages = [{name.removeprefix("reference/").removesuffix(".md"): name} for name in reference()]
    config.nav.append({"Reference": pages})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add all pages, and the files that they link to."""
    from mkdocs.structure.files import File

    pages = written()
    for path in sorted({*linked(pages)}):
        if (ROOT / path).is_dir():
            pages[f"{path}/index.md"] = folder_page(path)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages[f"notebooks/{notebook.stem}.md"] = notebook_page(notebook)
    for path, text in (pages | reference()).items():
        files.append(File.generated(config, path, content=text))
    for path in sorted({*linked(pages)}):
        if (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links to folders and notebooks lead to their pages."""
    own = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        path = target(own, found[0])
        if (ROOT / path).is_dir() and files.get_file_from_path(f"{path}/index.md"):
            return f"{found[0].rstrip('/')}/index.md"
        if path.endswith(".ipynb") and not own.startswith("notebooks/"):
            return f"{found[0].removesuffix('.ipynb')}.md"
        return found[0]

    return LINK.sub(led, markdown)


#: What arithmatex makes of a formula within a line, and on lines of its own.
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</(?:span|div)>', re.DOTALL
)


def on_page_content(content: str, /, **_others: Any) -> str:
    """Draw formulas."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match[str]) -> str:
        if found[1] == "span":
            return str(convert(html.unescape(found[2])))
        drawn = convert(html.unescape(found[2]), display="block")
        return f'<div class="formula" tabindex="0">{drawn}</div>'

    return FORMULA.sub(drawn, content)


def on_post_page(output: str, /, **_others: Any) -> str:
    """Name the dialog of the search, for those who do not see it."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
