from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import Info, write
from sgmse.bench._programs import Command
from sgmse.bench._systems import Folder, Noisy
from sgmse.bench.models import Model
from sgmse.bench.suite import NoisySet, Suite, load_suite
from sgmse.data.layouts import VOICEBANK_DEMAND
from sgmse.errors import SuiteError
from sgmse.solvers import Multistep, Uniform

SETS = "sets: {a: {clean: clean, noisy: noisy}}\n"
SYSTEMS = "systems: {noisy: {class: Noisy}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a set of seven recordings."""
    monkeypatch.chdir(tmp_path)
    for name in map(str, range(7)):
        save(f"clean/{name}.wav")
        save(f"noisy/{name}.wav")
    Path("index.csv").write_text("name,snr_db\n" + "".join(f"{n},{n}\n" for n in range(7)))
    return tmp_path


def save(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write(name, np.full((1, 9), 0.1, np.float32), Info(16000))


def suite(text: str, name: str = "suite.yaml") -> Suite:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return load_suite(name)


def test_a_whole_suite():
    read = suite(
        """
        sets:
          mine: {clean: clean, noisy: ../noisy}
          VB-DMD: {root: /data/voicebank, layout: voicebank-demand}
        systems:
          noisy: {class: Noisy}
          3: {class: Model, model: ./mine, solver: {class: Multistep, order: 3}, steps: 3}
          four: {class: Model, grid: {class: Uniform, steps: 4}, compat: sgmse}
          done: {class: Folder, folder: "runs/{set}"}
          tool: {class: Command, line: "./tool {input} {output}", timeout: 60}
        seeds: [3, 4]
        measures: [pesq, si-sdr]
        by: [snr_db]
        baseline: "3"
        align: true
        tolerance: 1e-2
        files: 5
        """,
        "below/suite.yaml",
    )
    assert read == Suite(
        {
            "mine": NoisySet(Path("below/clean"), Path("below/../noisy")),
            "VB-DMD": NoisySet(root=Path("/data/voicebank"), layout="voicebank-demand"),
        },
        {
            "noisy": Noisy(),
            "3": Model("below/mine", Multistep(order=3), 3),
            "four": Model(grid=Uniform(4), compat="sgmse"),
            "done": Folder(Path("below/runs/{set}")),
            "tool": Command("./tool {input} {output}", 60, Path("below")),
        },
        (3, 4),
        ("pesq", "si-sdr"),
        ("snr_db",),
        "3",
        True,
        0.01,
        5,
    )
    assert list(read.systems) == ["noisy", "3", "four", "done", "tool"]


def test_the_name_of_a_model_in_earlier_suites():
    assert suite(SETS + "systems: {a: {class: Ours, steps: 3}}").systems == {"a": Model(steps=3)}


def test_defaults():
    assert suite(SETS + SYSTEMS) == Suite(
        {"a": NoisySet(Path("clean"), Path("noisy"))}, {"noisy": Noisy()}
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "it has no keys"),
        (SYSTEMS, "lacks 'sets'"),
        (SETS, "lacks 'systems'"),
        (SETS + "systems: {}", "systems: name at least one"),
        (SETS + SYSTEMS + "seed: 3", "take 'seed' .did you mean 'seeds'.*it takes sets, systems,"),
        (SETS + SYSTEMS + "seeds: 3", "seeds must be a list"),
        (SETS + SYSTEMS + "seeds: [1, 1]", "seeds must be different"),
        (SETS + SYSTEMS + "seeds: [-1]", "at least 0"),
        (SETS + SYSTEMS + "seeds: []", "seeds must be"),
        (SETS + SYSTEMS + "files: 0", "files must be at least 1"),
        (SETS + SYSTEMS + "tolerance: -1", "tolerance must be at least 0"),
        (SETS + SYSTEMS + "measures: [psq]", "no measure is called 'psq'"),
        (SETS + SYSTEMS + "baseline: x", "no system is called 'x'; there are noisy"),
        (SETS + SYSTEMS + SYSTEMS, "'systems' is set twice"),
        (SETS + "systems: {a: {class: Noisi}}", "systems.a.class: unknown 'Noisi'.*Noisy"),
        (SETS + "systems: {a: {class: Model, step: 3}}", "systems.a .Model. does not take 'step'"),
        (SETS + "systems: {a: {class: Model, steps: x}}", "systems.a.steps must be a whole number"),
        (SETS + "systems: {a: {class: Command, line: x}}", "systems.a: line lacks {input}"),
        (SETS + "systems: {a/b: {class: Noisy}}", "'a/b' cannot be the name of a folder"),
        (SETS + "systems: {.a: {class: Noisy}}", "'.a' cannot be the name of a folder"),
        (SETS + "systems: {a: {class: Noisy}, A: {class: Noisy}}", "differ in case alone"),
        ("sets: {a: {clean: b}}\n" + SYSTEMS, "sets.a: give clean and noisy, or root"),
        ("sets: {a: {clean: b, noisy: c, root: d}}\n" + SYSTEMS, "give clean and noisy, or root"),
        ("sets: {a: {clean: b, noisy: c, layout: d}}\n" + SYSTEMS, "give clean and noisy, or"),
        (
            "sets: {a: {root: b, layout: c}}\n" + SYSTEMS,
            "no layout 'c'; known are VoiceBank-DEMAND",
        ),
        ("sets: {a: {roof: b}}\n" + SYSTEMS, "sets.a .NoisySet. does not take 'roof'"),
        ("sets: [\n", "is not YAML"),
    ],
)
def test_what_a_suite_cannot_be(text, says):
    with pytest.raises(SuiteError, match=f"^suite.yaml.*{says}") as caught:
        suite(text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(SuiteError, match=r"absent\.yaml: it cannot be read \(No such file"):
        load_suite("absent.yaml")


def test_pairs_of_folders_with_facts():
    pairs = suite(SETS + SYSTEMS + "by: [snr_db]").pairs()["a"]
    assert [pair.name for pair in pairs] == list("0123456")
    assert pairs[3].facts == {"snr_db": "3"}
    assert pairs[3].enhanced == pairs[3].noisy == Path("noisy/3.wav")


@pytest.mark.parametrize(
    ("files", "names"), [(1, "0"), (2, "03"), (3, "024"), (7, "0123456"), (9, "0123456")]
)
def test_some_files_evenly(files, names):
    pairs = suite(SETS + SYSTEMS + f"files: {files}").pairs()["a"]
    assert [pair.name for pair in pairs] == list(names)


def test_two_files_are_a_pair():
    (pair,) = NoisySet(Path("clean/1.wav"), Path("noisy/2.wav")).pairs()
    assert (pair.clean, pair.noisy) == (Path("clean/1.wav"), Path("noisy/2.wav"))


def test_pairs_of_a_known_set():
    for kind in ("clean", "noisy"):
        save(f"vb/{kind}_testset_wav/p232_001.wav")
    for layout in ("", ", layout: VoiceBank-DEMAND"):
        read = suite(f"sets: {{vb: {{root: vb{layout}}}}}\n" + SYSTEMS)
        assert read.sets["vb"].known() is VOICEBANK_DEMAND
        assert [pair.facts for pair in read.pairs()["vb"]] == [{"speaker": "p232"}]
    assert suite(SETS + SYSTEMS).sets["a"].known() is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sets: {a: {clean: clean, noisy: absent}}\n", "sets.a: there is no folder absent"),
        ("sets: {a: {root: absent}}\n", "sets.a: there is no folder absent"),
        ("sets: {a: {root: clean}}\n", "sets.a: clean holds no known test set"),
        (SETS + "by: [noise]\n", "by: no set tells 'noise' of its recordings; they tell snr_db"),
    ],
)
def test_sets_that_are_not_there(text, says):
    with pytest.raises(SuiteError, match=says):
        suite(text + SYSTEMS).pairs()


def test_the_suite_of_the_repository():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "corpus_test.yaml"
    read = load_suite(path)
    assert len(read.systems) == 12
    assert read.systems["default"] == Model()
    assert read.sets["corpus-test"].clean == path.parent / "../../shared/corpus/test/clean"
