"""Whatever a user gives that cannot be used: one line with the remedy, and exit code 1 or 2."""

import json
import pickle
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sgmse.bench import run as bench
from sgmse.scoring import scores as scoring

SETS = "sets: {a: {clean: clean, noisy: noisy}}\nmeasures: [si-sdr]\n"
SUITE = SETS + "systems: {n: {class: Noisy}}\n"
ONE = SETS + "systems:\n  n: "
NAME = "x" * 300  # longer than a file system takes


def wav(name: str, seconds: float = 0.5) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(len(name)).standard_normal(round(16000 * seconds))
    soundfile.write(name, 0.1 * noise, 16000)


def written(name: str, content: str | bytes) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def config(**changes: object) -> str:
    """A model whose config.json is changed."""
    shutil.copytree("model", "changed")
    content = json.loads(Path("model/config.json").read_text()) | changes
    written("changed/config.json", json.dumps(content))
    return "changed"


def model_with(file: str, content: bytes) -> str:
    """A model of which a file is replaced."""
    shutil.copytree("model", "changed")
    written(f"changed/{file}", content)
    return "changed"


def saved(value: object) -> str:
    torch.save(value, "saved.ckpt")
    return "saved.ckpt"


def archive(content: str) -> str:
    written("model_config.yaml", content)
    with tarfile.open("archive.nemo", "w") as nemo:
        nemo.add("model_config.yaml")
    return "archive.nemo"


MODELS: list[Callable[[], str]] = [
    lambda: "nowhere",
    lambda: "a.wav",
    lambda: "clean",
    lambda: "hf://a/b/c",
    lambda: NAME,
    partial(model_with, "config.json", b"{not json"),
    partial(model_with, "config.json", b"\xff\xfe\x00"),
    partial(model_with, "config.json", b"[" * 100_000),
    partial(model_with, "config.json", b"[1, 2]"),
    partial(model_with, "model.safetensors", b""),
    partial(model_with, "model.safetensors", b"garbage" * 100),
    partial(config, format="x"),
    partial(config, format=99),
    partial(config, sde=None),
    partial(config, sde={"class": "Nope"}),
    partial(config, sde={"class": "SBVE", "k": "x"}),
    partial(config, network={"class": "SlimUNet", "channels": 0}),
    partial(config, sample_rate="x"),
    partial(written, "empty.ckpt", b""),
    partial(written, "garbage.ckpt", b"garbage" * 100),
    partial(written, "pickled.ckpt", pickle.dumps({"a": 1})),
    partial(written, "garbage.nemo", b"garbage" * 100),
    partial(saved, None),
    partial(saved, {"state_dict": 3}),
    partial(saved, {"state_dict": {}, "hyper_parameters": {"backbone": "x"}}),
    partial(archive, "{a: [}"),
    partial(archive, "3"),
]

SUITES = [
    *("", "3", "[]", "sets: 3", "{a: [}", "a: *x", "\t- x", "? [a]\n: 1", "&a [*a]"),
    "!!python/object/apply:os.system [ls]",
    *(SUITE + line for line in ("X", "seeds: [-1]", "seeds: x", "by: 3", "by: [x]", "baseline: x")),
    *(SUITE + line for line in ("align: 3", "tolerance: .nan", "files: 0", "measures: [[1]]")),
    *(ONE + "{class: " + rest for rest in ("3}", "[]}", "Nope}", "Noisy, x: 1}", "Noisy, 3: 4}")),
    *(ONE + "{class: Model, model: " + m for m in ("3}", "nowhere}", "model, steps: x}")),
    *(ONE + "{class: Model, model: model, " + m for m in ("steps: 0}", "device: tpu}")),
    *(ONE + "{class: Model, model: model, " + m for m in ("shifts: 0}", "solver: {class: SBVE}}")),
    *(ONE + "{class: Command, line: " + line for line in ("3}", '""}', '"x {input"}', '"x {0}"}')),
    ONE + '{class: Command, line: "\'x {input} {output}"}',
    *(ONE + "{class: Folder, folder: " + place for place in ("3}", "nowhere}", '"{x}"}')),
    SUITE.replace("clean: clean", "clean: 3"),
    SUITE.replace("clean: clean, noisy: noisy", "root: nowhere"),
    SUITE.replace("{a: {", '{"../b": {'),
]

MIX = ("mix", "clean", "noisy")
SCORE = ("score", "clean", "good", "--measures", "si-sdr")
STUDY = ("bench", "solvers", "--clean", "clean", "--noisy", "noisy", "--measures", "si-sdr")
STUDY = (*STUDY, "--model", "model", "-o", "out", "--steps", "1")
TRAIN = ("train", "default", "--data", "clean", "--set")

# What needs no other file.
CALLS: list[tuple[str, ...]] = [
    *(("enhance", name) for name in ("nowhere.wav", "empty", "*.mp3", "[", NAME, "/dev/null")),
    *(("enhance", "a.wav", "-o", place) for place in ("a.wav", "a.wav/b.wav", f"{NAME}.wav")),
    *(("enhance", "a.wav", "-o", place) for place in ("x.amr", "/proc/x.wav")),
    ("enhance", "a.wav", "--model", "model", "--compat", "sgmse"),
    ("enhance", "a.wav", "--model", "model", "--shifts", "999"),
    ("enhance", "a.wav", "--model", "model", "--solver", "pc", "--steps", "1"),
    ("enhance", "a.wav", "--model", "model", "--device", "cuda:99"),
    *(("convert", name, "folder") for name in ("nowhere", "a.wav", "empty")),
    ("convert", "model", "folder", "--compat", "sgmse"),
    *(("score", "clean", name) for name in ("nowhere", "empty", "=good", NAME)),
    ("score", "nowhere", "good"),
    ("score", "clean", "good", "good"),
    ("score", "clean", "a=good", "a=noisy"),
    *((*SCORE, "--fail-under", bar) for bar in ("", "=3", "si-sdr", "si-sdr=nan", "lsd=1")),
    *((*SCORE, "--tolerance", number) for number in ("-1", "nan")),
    *((*SCORE, "-o", place) for place in ("a.wav", "a.wav/x")),
    *((*SCORE, "--index", name) for name in ("nowhere.csv", "clean", "a.wav")),
    *(("score", "clean", "good", "--measures", name) for name in ("", ",", "x", "si-sir")),
    (*SCORE, "--baseline", "x"),
    *((*MIX, "out", "--snr", number) for number in ("nan", "inf", "1000")),
    *((*MIX, "out", "--seconds", number) for number in ("nan", "-1", "0")),
    *((*MIX, "out", "--shortest", number) for number in ("nan", "-1", "inf")),
    *((*MIX, place) for place in ("a.wav", "a.wav/x", "clean", NAME)),
    *(("mix", name, "noisy", "out") for name in ("nowhere", "a.wav", "empty")),
    (*MIX, "out", "--rate", "999999999"),
    *(("bench", name) for name in ("nowhere.yaml", "clean", "a.wav", NAME)),
    *((*STUDY, "--solvers", text) for text in ("Huen", "Heun(", "3", "Heun(x=1)", "()", "'")),
    *((*STUDY, "--solvers", text) for text in ("__import__('os')", "Multistep(order='x')")),
    *((*STUDY, "--solvers", text) for text in ("Multistep(order=99)", "(" * 3000, "Uniform")),
    *((*STUDY, "--grids", text) for text in ("Uniform(", "Uniform(end=2)", "Heun", "Fitted")),
    *((*STUDY, "--etas", numbers) for numbers in ("2", "nan", "0,0")),
    *((*STUDY, "--seeds", "1,1"), (*STUDY, "--work", "a.wav"), (*STUDY, "--model", "nowhere")),
    *(("train", name) for name in ("nowhere.yaml", "nowhere", "clean", "a.wav")),
    *(("train", "default", "--data", place) for place in ("nowhere", "a.wav", "empty")),
    *(("train", "--from", name, "--data", "clean") for name in ("nowhere", "a.wav")),
    *(("train", "--resume", "-o", place) for place in ("nowhere", "empty", "a.wav")),
    *((*TRAIN, change) for change in ("x", "=", "a=b", "...=1", "model=3")),
    *((*TRAIN, f"trainer.steps={value}") for value in ("x", "[", -1)),
    *(("average", place) for place in ("nowhere", "empty", "a.wav")),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Path:
    """The working folder: a recording, folders of them, an empty one, and a model."""
    monkeypatch.chdir(tmp_path)
    wav("a.wav")
    for name in ("clean", "noisy", "good"):
        for number in range(2):
            wav(f"{name}/{number}.wav", 1.5)
    Path("empty").mkdir()
    shutil.copytree(model, "model")
    return tmp_path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without worker processes."""
    map_unordered = scoring.map_unordered
    for module in (scoring, bench):
        monkeypatch.setattr(
            module, "map_unordered", lambda f, items, workers, died=None: map_unordered(f, items, 0)
        )


@pytest.fixture
def refused(call):
    """Calls `sgmse` and checks that it refuses what is given, in one line or as misuse.

    What several parts of a file are wrong in, it says in one line for each.
    """

    def refused(*arguments: str, most: int = 1) -> None:
        try:
            code, out, err = call(*arguments)
        except SystemExit as misuse:
            assert misuse.code == 2  # noqa: PT017
        else:
            assert (code, out) == (1, ""), err
            assert 1 <= len(err) <= most
            assert all(line.startswith("sgmse: error: ") for line in err)
            assert all(len(line) > len("sgmse: error: ") for line in err)

    return refused


@pytest.mark.parametrize("arguments", CALLS, ids=lambda words: " ".join(words)[:60])
def test_arguments(arguments, refused):
    refused(*map(str, arguments))


@pytest.mark.parametrize("number", range(len(MODELS)))
def test_models(number, refused):
    refused("info", MODELS[number]())


@pytest.mark.parametrize("text", SUITES)
def test_suites(text, refused):
    refused("bench", written("suite.yaml", text), "-o", "out", "--no-report", most=2)


@pytest.mark.parametrize("text", [b"", b"3", b"[]", b"{a: [}", b"\xff\xfe\x81", b"a: 1", b"!!x {}"])
def test_recipes(text, refused):
    pytest.importorskip("lightning")
    refused("train", written("recipe.yaml", text), most=2)
    written("run/recipe.yaml", text)
    refused("train", "--resume", "-o", "run", most=2)
    refused("average", "run", most=2)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"a,b\n1,2\n",
        b"name,x\n0,1\n0,2\n",
        b"\0\0",
        b"name,x\n" + b"x" * 200_000,
    ],
)
def test_indices(text, refused):
    refused(*SCORE, "--by", "x", "--index", written("index.csv", text))
    assert not Path("out").exists()


def test_journals(refused):
    written("out/scores.jsonl", b"garbage\n{}\n")
    refused(*SCORE, "-o", "out")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("enhance", "a.wav", "--model", "defualt"), "default"),
        (("info", "defautl"), "default"),
        (("score", "clean", "good", "--measures", "si-sdt"), "si-sdr"),
        (("score", "clean", "good", "--measures", "PESK"), "pesq"),
        ((*SCORE, "--baseline", "goood"), "good"),
        ((*SCORE, "--fail-under", "goob:si-sdr=3"), "good"),
        ((*SCORE, "--fail-under", "good:sisdr=3"), "si-sdr"),
        ((*SCORE, "--by", "snr", "--index", "index.csv"), "snr_db"),
        (("bench", "suite.yaml", "--systems", "nosy"), "noisy"),
        ((*STUDY, "--solvers", "Huen"), "Heun"),
        ((*STUDY, "--grids", "Unifrom"), "Uniform"),
        (("bench", "solvers", "--set", "clean", "--layout", "ears-wam"), "EARS-WHAM"),
        (("train", "defualt", "--data", "clean"), "default"),
        ((*TRAIN, "trainer.stepps=3"), "steps"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(arguments, meant, call):
    if arguments[0] == "train":
        pytest.importorskip("lightning")
    written("index.csv", "name,snr_db\n0,1\n1,2\n")
    written("suite.yaml", SETS + "systems: {noisy: {class: Noisy}}\n")
    code, _, err = call(*arguments)
    assert code == 1
    assert f"(did you mean {meant!r}?)" in err[-1]
