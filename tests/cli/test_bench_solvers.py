"""The command `sgmse bench solvers`, as it is called."""

import json
from functools import partial
from pathlib import Path

import pytest
import tiny
from recordings import noisy_set

from sgmse.bench import expressions as study_names, study
from sgmse.checkpoints import save
from sgmse.cli import bench_solvers as solvers
from sgmse.cli.main import main

FOLDERS = ("--clean", "clean", "--noisy", "noisy")
WORKERS: list[int] = []
QUICK = (*FOLDERS, "--model", "model", "--measures", "si-sdr,lsd", "--steps", "1,2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a set of three, and a model."""
    monkeypatch.chdir(tmp_path)
    noisy_set("0", "1", "2")
    save(tiny.checkpoint(), "model")
    return tmp_path


@pytest.fixture
def run(monkeypatch, call):
    """Runs `sgmse bench solvers` without worker processes: (exit code, stdout, stderr)."""
    original = study.run_study

    def here(*arguments, workers, **options):
        WORKERS.append(workers)
        return original(*arguments, workers=0, **options)

    monkeypatch.setattr(study, "run_study", here)

    return partial(call, "bench", "solvers")


@pytest.mark.slow
def test_a_model_becomes_a_front(run):
    code, out, err = run(
        *QUICK, "--solvers", "Exponential,Heun", "--files", "2", "-o", "out", "-j", "3"
    )
    assert (code, err, WORKERS.pop()) == (0, [], 3)
    assert "Heun Uniform, Heun AsinhSNR: Heun needs the probability flow" in out
    assert out.endswith("the results are in out; 6 files were enhanced now\n")
    assert {path.name for path in Path("out").iterdir()} == {
        *("study.md", "study.csv", "study.json", "figure.svg"),
        *("runs.jsonl", "scores.jsonl", "recordings"),
    }
    told = json.loads(Path("out/study.json").read_text())
    run_ = [s["name"] for s in told["settings"] if not s["same_as"] and not s["refused"]]
    assert run_ == [
        study.OWN,
        "Exponential eta 0 Uniform, 2 steps",
        "Exponential eta 1 Uniform, 2 steps",
    ]
    assert told["provenance"]["command"].startswith("sgmse bench solvers --clean clean")
    assert set(told["fronts"]) == {"SI-SDR", "LSD"}


@pytest.mark.slow
def test_again_does_nothing_twice_and_work_may_lie_elsewhere(run):
    options = (*QUICK, "--solvers", "Multistep", "--seeds", "1,2", "--work", "work", "-o", "out")
    _, first, _ = run(*options)
    code, second, _ = run(*options, "-q")
    assert code == 0
    # The own sampler and the ODE draw nothing; the SDE is run with both seeds.
    assert first.endswith("12 files were enhanced now\n")
    assert second.strip() == first.rpartition("\n\n")[0].strip()
    assert not Path("out/recordings").exists()
    sde = Path("work/recordings/Multistep eta 1 Uniform, 2 steps")
    assert {path.name for path in sde.iterdir()} == {"1", "2"}


@pytest.mark.slow
def test_others_are_compared_with_a_reference(run):
    options = (*QUICK, "--solvers", "Exponential", "--files", "3", "-o", "out")
    code, out, err = run(*options, "--reference", "Multistep(eta=1.0), Uniform(steps=3, end=0.1)")
    assert (code, err) == (0, [])
    assert "against reference" in out
    told = json.loads(Path("out/study.json").read_text())
    first, own = told["settings"][:2]
    assert (told["baseline"], first["name"], own["name"]) == ("reference", "reference", study.OWN)
    assert (first["steps"], first["evaluations"]) == (3, 3)
    assert first["sampler"].endswith("Uniform(steps=3, start=1.0, end=0.1, finish=True)")
    # Differences are those of the scores, recording by recording.
    means = {name: told["systems"][name]["LSD"]["mean"] for name in ("reference", study.OWN)}
    change = told["differences"][study.OWN]["LSD"]["mean"]
    assert change == pytest.approx(means[study.OWN] - means["reference"])
    assert "difference to the reference" in Path("out/study.md").read_text()


@pytest.mark.slow
def test_without_saying_where(run):
    code, out, _ = run(*QUICK, "--solvers", "Exponential", "--grids", "Uniform(end=0.03)")
    assert code == 0
    assert "the results are in runs/bench/solvers-model;" in out
    assert "Exponential eta 1 Uniform(end=0.03), 2 steps" in out


@pytest.mark.slow
def test_a_known_set(run):
    for name in ("clean", "noisy"):
        for i in range(3):
            Path(name, f"{i}.wav").rename(Path(name, f"p232_00{i}.wav"))
        Path(name).rename(f"{name}_testset_wav")
    options = ("--set", ".", "--layout", "VoiceBank-DEMAND", *QUICK[4:], "--device", "cpu")
    code, out, err = run(*options, "--solvers", "Exponential", "--files", "1")
    assert (code, err) == (0, [])
    assert "- VoiceBank-DEMAND" in out  # what it scores before enhancement
    assert out.endswith("3 files were enhanced now\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give clean and noisy, or root and perhaps layout"),
        (("--clean", "clean"), "give clean and noisy"),
        ((*FOLDERS, "--set", "x"), "give clean and noisy"),
        ((*FOLDERS, "--layout", "DNS-2020"), "give clean and noisy"),
        (("--clean", "clean", "--noisy", "nosy"), "no folder nosy"),
        (("--set", "clean", "--layout", "VB"), "VB"),
        (
            (*FOLDERS, "--reference", "Heun"),
            "--reference: 'Heun' is no sampler; write",
        ),
        ((*FOLDERS, "--reference", "Heun, Uniform"), "a grid with its steps"),
        ((*FOLDERS, "--reference", "Heun, Uniform(steps=2)"), "reference: Heun needs the"),
        ((*FOLDERS, "--solvers", "Huen"), "unknown 'Huen' (did you mean 'Heun'"),
        ((*FOLDERS, "--grids", "Fitted"), "--grids: Fitted holds for one number of steps"),
        ((*FOLDERS, "--etas", "2"), "etas must be different numbers from 0 to 1"),
        ((*FOLDERS, "--steps", "0"), "at least 1"),
        ((*FOLDERS, "--model", "absent"), "absent"),
        ((*FOLDERS, "--measures", "psq"), "psq"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, arguments, says):
    code, out, err = run("--model", "model", *arguments)
    assert (code, out) == (1, "")
    assert len(err) == 1
    assert says in err[0]
    assert not Path("runs").exists()


def test_interrupted(monkeypatch, call):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_study", stop)
    code, _, err = call("bench", "solvers", *QUICK, "--work", "w")
    assert code == 130
    assert "kept in w: call again to go on" in err[0]


def test_a_suite_of_that_name_is_still_a_suite(call):
    code, _, err = call("bench", "./solvers")
    assert code == 1
    assert "solvers: it cannot be read" in err[0]
    Path("solvers").write_text("sets: 3")
    code, _, err = call("bench", "./solvers")
    assert code == 1
    assert "Suite lacks" in err[0]


def test_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "solvers", "--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: sgmse bench solvers ")
    told = " ".join(out.split())
    assert f"(default: {solvers.SOLVERS})" in told
    assert solvers.SOLVERS == study_names.SOLVERS
