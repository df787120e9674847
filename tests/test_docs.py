"""What the pages in docs/ say is so: their Python runs, their formulas are those of the code."""

import math
import re
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import torch
from conftest import together
from scipy.integrate import quad
from scipy.special import expi

import sgmse.compat
import sgmse.estimates
import sgmse.inference
import sgmse.model
import sgmse.networks
import sgmse.sdes
import sgmse.solvers
import sgmse.training.losses
import sgmse.transforms
from sgmse.bench import load_suite
from sgmse.cli import main as cli
from sgmse.data import LAYOUTS
from sgmse.estimates import Parametrization
from sgmse.metrics.measures import MEASURES
from sgmse.sdes import SDE
from sgmse.solvers import Grid, Solver
from sgmse.solvers._exponential import integrals

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = [DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
THEORY = (DOCS / "theory.md").read_text("utf-8")
MODULES = (
    sgmse.sdes,
    sgmse.estimates,
    sgmse.solvers,
    sgmse.model,
    sgmse.inference,
    sgmse.compat,
    sgmse.training.losses,
    sgmse.networks,
    sgmse.transforms,
)
NAMES = {name: value for module in MODULES for name, value in vars(module).items()}

#: What the formulas of the tables may use.
FUNCTIONS = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")}
FUNCTIONS["Ei"] = expi


def blocks(page: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


def commands() -> list[str]:
    """Of all pages, those of this package."""
    lines = [line for page in PAGES for text in blocks(page, "") for line in text.splitlines()]
    return [line for line in lines if line.startswith("sgmse ")]


def section(title: str) -> str:
    """The text of the section of theory.md whose title ends so."""
    return re.search(rf"^## [^\n]*{title}\n(.*?)(?=^## |\Z)", THEORY, re.M | re.S)[1]


def rows(text: str) -> list[list[list[str]]]:
    """The tables of a text: table, row, cell, without their heads."""
    tables = re.findall(r"^\|[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", text, re.M)
    return [
        [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in t.splitlines()]
        for t in tables
    ]


#: What the blocks of pages need beside the package.
NEEDED = {
    "export.md": ("onnx", "onnxruntime"),
    "other-programs.md": ("datasets", "lhotse", "pedalboard"),
    "plot.md": ("matplotlib",),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    PAGES,
    ids=lambda page: page.name,
)
def test_the_python_runs(page, tmp_path, monkeypatch):
    """All blocks of a page in one session, in the order of the text, as in the repository."""
    for package in NEEDED.get(page.name, ()):
        pytest.importorskip(package, reason="needs an extra")
    for entry in DOCS.parent.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    session = {"__name__": page.stem}
    for text in blocks(page):
        exec(compile(text, page.name, "exec"), session)


def test_pages_are_found():
    assert blocks(DOCS / "theory.md")
    assert {command.split()[1] for command in commands()} >= {"bench", "convert", "mix", "score"}


@pytest.mark.parametrize("command", commands())
def test_the_commands_are_understood(command):
    words = shlex.split(command, comments=True)[1:]
    assert cli.parsed(words).run


def test_suites_can_be_read(tmp_path):
    texts = blocks(DOCS / "evaluation.md", "yaml")
    assert texts
    for text in texts:
        (tmp_path / "suite.yaml").write_text(text)
        assert load_suite(tmp_path / "suite.yaml").systems


def test_the_measures_and_sets_have_their_places():
    page = (DOCS / "evaluation.md").read_text("utf-8")
    named = [measure.name.lower() for measure in MEASURES]
    named += [layout.name for layout in LAYOUTS if layout.name != "mixed"]  # of sgmse mix
    assert [name for name in named if f"`{name}`" not in page] == []
    for layout in LAYOUTS:
        line = next((line for line in page.splitlines() if f"`{layout.name}`" in line), "")
        for known in layout.noisy_scores.values():
            assert f"{known.value:g}" in line.replace("10.0", "10").replace("1.70", "1.7")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" not in target and file:
            assert (page.parent / file).exists(), f"{page.name} links to {target}"
        if not file:
            titles = re.findall(r"^#+ (.*)$", text, re.M)
            anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert anchor in anchors, f"{page.name} links to #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_whole(page):
    """Each row has as many cells as the head: a bar within a cell would make one more."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text("utf-8"), re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def public(module, kind: type) -> set[str]:
    exported = {name: getattr(module, name) for name in getattr(module, "__all__", dir(module))}
    return {
        name
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, kind) and not value.__abstractmethods__
    }


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (sgmse.sdes, SDE),
        (sgmse.estimates, Parametrization),
        (sgmse.solvers, Solver),
        (sgmse.solvers, Grid),
    ],
)
def test_everything_public_has_its_place(module, kind):
    known = public(module, kind)
    assert len(known) >= 2
    missing = {name for name in known if not re.search(rf"`{name}\b", THEORY)}
    assert not missing, f"theory.md does not mention {sorted(missing)}"


def test_docstrings_mark_numbers_of_equations_as_the_page_does():
    """Without an asterisk stand those alone that theory.md has without one."""
    found = set()
    for file in (DOCS.parent / "sgmse").rglob("*.py"):
        if file.parent.name != "audio":  # tables of formats
            text = " ".join(file.read_text("utf-8").split())
            found |= set(re.findall(r"\b(?:eq\.|algorithms?|table) \d+(?![\d*])", text))
    checked = {
        "eq. 46": "[Song21] eq. 46)",
        "eq. 5": "[EDM] eq. 5)",
        "eq. 7": "[EDM] eq. 7, table 1",
    }
    assert found == {*checked, "table 1"}
    assert all(citation in THEORY for citation in checked.values())


def spans() -> list[str]:
    """Code in the text of theory.md that starts like the name of a class."""
    text = re.sub(r"^```.*?^```$", "", THEORY, flags=re.M | re.S)
    name = r"[A-Z]\w*[a-z]\w*|[A-Z]{2,}"  # not the B of a formula
    return sorted(set(re.findall(rf"`((?:{name})(?:[.(][^`]*)?)`", text)))


@together(span=spans())
def test_what_is_named_exists(span):
    """`OUVE`, `Solver.refusal`, and `Exponential(eta=1.0)` with its arguments."""
    eval(span, dict(NAMES))


def test_arguments_exist():
    """`eta`, `churn`, `log_likelihood`: what is a name of Python is one of the library."""
    text = THEORY.replace(section("The processes"), "")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    classes = [value for value in NAMES.values() if isinstance(value, type)]
    arguments = {f.name for c in classes if is_dataclass(c) for f in fields(c)}
    theirs = {"probability_flow"}  # an argument of the published code
    assert set(re.findall(r"`([a-z]\w*)(?:=[^`]*)?`", text)) <= arguments | set(NAMES) | theirs


PROCESSES = section("The processes")
SYMBOLS = re.findall(r"`(\w+) = ([^`]*)`", PROCESSES)
SCALES, COEFFICIENTS = ({row[0]: row[1:] for row in table} for table in rows(PROCESSES))


def values(sde: SDE, t: float) -> dict[str, float]:
    """The constants of a process, and the symbols of the page that these define, at the time t."""
    known = {f.name: getattr(sde, f.name) for f in fields(sde)} | {"t": t}
    for symbol, formula in SYMBOLS:
        try:
            known[symbol] = eval(formula, {**FUNCTIONS, **known})
        except (NameError, ZeroDivisionError):  # of other processes
            continue
    return known


def test_the_tables_of_the_processes(sde):
    """Both tables, for every process and its constants."""
    name = f"`{type(sde).__name__}`"
    if isinstance(sde, sgmse.sdes.Shifted | sgmse.sdes.Scaled):
        assert name not in SCALES
        return
    for t in (0.02, 0.3, 0.77, 0.98):
        known = values(sde, t)
        symbols = ["a", "b", "sigma", "f", "h", "g squared"]
        for symbol, cell in zip(symbols, SCALES[name][:3] + COEFFICIENTS[name], strict=True):
            known[symbol] = float(eval(cell.strip("`"), {**FUNCTIONS, **known}))
        time = torch.tensor([t], dtype=torch.float64)
        f, h, g = sde.coefficients(time)
        ours = torch.cat([*sde.scales(time), f, h, g**2])
        theirs = torch.tensor([known[symbol] for symbol in symbols], dtype=torch.float64)
        # The printed variances of OUVE and BBED are differences; half the digits are left.
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_every_process_has_its_rows():
    known = {f"`{name}`" for name in public(sgmse.sdes, SDE) - {"Shifted", "Scaled"}}
    assert set(SCALES) == known == set(COEFFICIENTS)


def test_steps_of_the_papers():
    """SB-SDE and DBIM in their own symbols, and Euler's step of a straight flow."""
    sde, t, s = sgmse.sdes.SBVE(), torch.tensor([0.8]).double(), torch.tensor([0.3]).double()
    untied_t, untied_s = (torch.expm1(2 * math.log(sde.k) * u) for u in (t, s))
    unit = sde.c / (2 * math.log(sde.k))
    ratio = untied_s / untied_t
    for eta in (0.0, 0.3, 1.0):
        w = sgmse.compat.DDIM(eta=eta).weights(sde, t, s)
        # tau^2 = eta^2 alpha_s^2 / SNR_s (1 - SNR_t / SNR_s), with alpha = 1 and SNR = 1 / s^2
        torch.testing.assert_close(w.z**2, eta**2 * unit * untied_s * (1 - ratio))
    (a_t, b_t, sigma_t), (a, b, _) = sde.scales(t), sde.scales(s)
    state = w.noise / sigma_t  # of x_t, as noise = (x_t - a_t x0 - b_t y) / sigma_t
    torch.testing.assert_close(state, ratio)
    torch.testing.assert_close(a - state * a_t, 1 - ratio)
    torch.testing.assert_close(b - state * b_t, torch.zeros(1).double(), rtol=0, atol=1e-15)

    for flow in (sgmse.sdes.FlowMatching(0.1), sgmse.sdes.StraightFlow(0.05, 0.4)):
        w = sgmse.solvers.Exponential().weights(flow, t, s)
        euler = [u + (s - t) * v for u, v in zip(flow.scales(t), flow.rates(t), strict=True)]
        for ours, theirs in zip((w.x0, w.y, w.noise), euler, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_correlation_of_the_noise(sde):
    """rho = a_t sigma_s / (a_s sigma_t) = e^-h, and the chain from s to t has a variance."""
    t, s = torch.tensor([0.7]).double(), torch.tensor([0.2]).double()
    (a_t, _, sigma_t), (a, _, sigma) = sde.scales(t), sde.scales(s)
    A = a_t / a
    assert sigma_t**2 - A**2 * sigma**2 >= 0
    w = sgmse.solvers.Exponential(eta=1.0).weights(sde, t, s)
    torch.testing.assert_close(w.noise, A * sigma / sigma_t * sigma)
    torch.testing.assert_close(w.h, sde.log_snr(s) - sde.log_snr(t))
    torch.testing.assert_close(w.k, 2 * w.h)


def test_the_integrals_of_the_polynomial():
    """(h/k)^j psi_j(k) for D_1, D_2 is what the weights of the solvers are made of."""
    h, k = 0.7, torch.tensor([1.3]).double()
    psi = [1 - torch.exp(-k)]
    for j in (1, 2):
        psi.append(k**j / math.factorial(j) - psi[-1])
    exact = [
        quad(lambda u, j=j: k / h * math.exp(-k / h * (h - u)) * u**j / math.factorial(j), 0, h)[0]
        for j in range(3)
    ]
    for j in range(3):
        torch.testing.assert_close((h / k) ** j * psi[j], torch.tensor([exact[j]]).double())
    m_1, m_2 = integrals(k)
    torch.testing.assert_close(h / k * psi[1], h * m_1)
    torch.testing.assert_close((h / k) ** 2 * psi[2], h**2 * m_2 / 2)


def test_what_the_page_says_of_ends(sde):
    """a(0) = 1, b(0) = 0; where a(1) = 0, f is infinite, and g, too, but at a pinned end."""
    (a, b, _), ends = sde.scales(torch.zeros(1).double()), sde.scales(torch.ones(1).double())
    assert a == 1
    assert b == 0
    f, _, g = sde.coefficients(torch.ones(1).double())
    assert bool(ends.a > 0) == bool(f.isfinite())
    assert bool(g.isfinite()) == (sde.pinned or not sde.forgets)
