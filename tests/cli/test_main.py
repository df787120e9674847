"""The command line as a whole: what is understood, what errors become, what the help says."""

import re
import shlex
import subprocess
import sys

import pytest

import sgmse
from sgmse.cli import main as cli
from sgmse.errors import ArgumentError, AudioError

NAMES = ["enhance", "info", "convert", "train", "average", "bench", "bench solvers", "mix", "score"]
NAMES += ["export", "completion", "models", "doctor", "app"]
HEAVY = {"torch", "scipy", "matplotlib", "jinja2", "lightning"}


def broken(error: BaseException):
    """A command that raises it."""

    def run(options):
        raise error

    return run


# What is understood


WHOLE = "must be a whole number of at least"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--debug", "the following arguments are required: COMMAND"),
        ("enhence", "there is no command 'enhence' (did you mean 'enhance'?)"),
        ("Bench", "there is no command 'Bench' (did you mean 'bench'?)"),
        ("xyz", "there is no command 'xyz'; there are enhance, transfer, app, live, serve, models"),
        ("--debg info", "unrecognized option --debg (did you mean '--debug'?)"),
        ("enhance", "the following arguments are required: INPUT"),
        ("enhance a.wav --dry 2", "--dry: must be a number between 0 and 1, not '2'"),
        ("enhance a.wav --strength 3", "--strength: must be a number between 0 and 2, not '3'"),
        (
            "enhance a.wav --strength weak",
            "--strength: must be a number between 0 and 2, not 'weak'",
        ),
        ("enhance a.wav --dry wet", "--dry: must be a number between 0 and 1"),
        ("enhance a.wav --dry nan", "--dry: must be a number between 0 and 1"),
        ("enhance a.wav --steps x", f"--steps: {WHOLE} 0"),
        ("enhance a.wav --shifts 0", f"--shifts: {WHOLE} 1"),
        ("enhance a.wav -j 1.5", f"-j/--jobs: {WHOLE} 1"),
        ("enhance a.wav --seed -1", f"--seed: {WHOLE} 0"),
        ("enhance a.wav --solver ode3", "not 'ode3' (did you mean 'ode'?)"),
        ("enhance a.wav --solver ddim", "--solver: must be one of ode, ode2, sde, sde2, pc, not"),
        ("enhance a.wav --format m4x", "--format: must be one of wav"),
        ("enhance a.wav --format falc", "not 'falc' (did you mean 'flac'?)"),
        ("enhance a.wav --device tpu", "--device: must be auto, cpu, cuda, cuda:1"),
        ("enhance a.wav --device gpu", "not 'gpu' (did you mean 'cuda'?)"),
        ("enhance a.wav --stepps 3", "unrecognized option --stepps (did you mean '--steps'?)"),
        ("enhance --stepps=3 a.wav", "unrecognized option --stepps (did you mean '--steps'?)"),
        (
            "enhance a.wav -overwrite",
            "unrecognized option -overwrite (did you mean '--overwrite'?)",
        ),
        ("enhance a.wav -output b.wav", "unrecognized option -output (did you mean '--output'?)"),
        ("enhance a.wav --zebra", "unrecognized option --zebra\n"),
        ("enhance a.wav -x", "unrecognized arguments: -x"),
        ("score a --fail-undr x", "unrecognized option --fail-undr (did you mean '--fail-under'?)"),
        ("info default other", "unrecognized arguments: other"),
        ("enhance a.wav --device cdua", "(did you mean 'cuda'?)"),
        ("completion tcsh", "must be one of bash, zsh, fish, not 'tcsh'"),
        ("average runs/mine --step 0", f"--step: {WHOLE} 1"),
        ("average runs/mine --lengths", "--lengths: expected at least one argument"),
        ("average runs/mine --lengths short", "--lengths: invalid float value: 'short'"),
        ("bench", "the following arguments are required: SUITE.yaml"),
        ("bench suite.yaml -j 0", f"-j/--jobs: {WHOLE} 1"),
        ("bench suite.yaml --files x", f"--files: {WHOLE} 1"),
        ("bench solvers --steps 1,x", "--steps: must be numbers such as 1,2,4, not '1,x'"),
        ("bench solvers --etas a", "--etas: must be numbers such as"),
        ("bench solvers --files 0", f"--files: {WHOLE} 1"),
        ("mix a b c --snr 5,loud", "--snr: must be numbers such as 0,5,10, not '5,loud'"),
        ("mix a b c --count 0", f"--count: {WHOLE} 1"),
        ("mix a b c --reverb 2", "--reverb: must be a number between 0 and 1"),
        ("mix a b c --rate 0", f"--rate: {WHOLE} 1"),
        ("mix a b c --seconds some", "--seconds: invalid float value: 'some'"),
        ("mix a b c --format mp3", "--format: must be one of flac, wav, not 'mp3'"),
        ("score a b -j x", f"-j/--jobs: {WHOLE} 1"),
        ("score a b --tolerance x", "--tolerance: invalid float value"),
        ("score a b --report-megabytes 0", "--report-megabytes: must be a number above 0"),
        ("score a b --report-files ,", "--report-files: must be a whole number or names"),
    ],
)
def test_misuse_exits_with_2_and_usage(command, says, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(command.split())
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    usage, line = err.splitlines()
    own = next((name for name in sorted(NAMES, key=len)[::-1] if command.startswith(name)), None)
    assert usage.startswith("usage: sgmse " + (own or "COMMAND"))
    assert usage.endswith(f"; see sgmse {own or ''}".rstrip() + " --help")
    assert line.startswith("sgmse: error: ")
    assert says in err


@pytest.mark.parametrize("words", [["--debug"], []])
@pytest.mark.parametrize("name", ["noisy.wav", "NOISY.M4A", "*.flac", "folder", "sounds.d/x"])
def test_a_recording_in_place_of_a_command(name, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "sounds.d").mkdir()
    (tmp_path / "sounds.d" / "x").touch()
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, name, "-o", "out"])
    assert ended.value.code == 2
    line = shlex.join(["sgmse", "enhance", *words, name, "-o", "out"])
    assert f"sgmse: error: {name!r} is no command; to enhance it: {line}" in capsys.readouterr().err


def test_nothing_at_all_prints_the_help(capsys):
    texts = []
    for words in ([], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 0
        texts.append(capsys.readouterr())
    assert texts[0] == texts[1]
    assert "sgmse enhance noisy.wav" in texts[0].out
    assert texts[0].err == ""


# Errors


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ArgumentError("no such\n  thing; take another"), "no such thing; take another"),
        (AudioError("a.wav", "is empty", "record it again"), "a.wav: is empty; record it again"),
        (FileNotFoundError(2, "No such file", "x"), "x: No such file"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("in words"), "in words"),
    ],
)
def test_an_error_for_a_user_is_one_line(error, line, call, monkeypatch):
    monkeypatch.setattr(cli.info, "run", broken(error))
    assert call("info") == (1, "", [f"sgmse: error: {line}"])


@pytest.mark.parametrize("error", [RuntimeError("planted"), ValueError("planted"), KeyError("x")])
def test_any_other_error_is_a_fault_of_ours(error, call, monkeypatch):
    monkeypatch.setattr(cli.info, "run", broken(error))
    code, out, err = call("info")
    assert (code, out) == (70, "")
    assert err == [
        f"sgmse: error: {type(error).__name__}: {error}",
        "sgmse: this is a fault of sgmse and not of the recording; please report it with what the "
        "same command says with --debug",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_such_errors(name, call, monkeypatch):
    """Whatever its arguments: all that it does goes through its `run`."""
    command = next(c for c in cli.COMMANDS if c.__name__.endswith("." + name.replace(" ", "_")))
    monkeypatch.setattr(command, "run", broken(RuntimeError("planted")))
    arguments = {
        "completion": ["bash"],
        "convert": ["a", "b"],
        "export": ["a", "b.onnx"],
        "mix": ["a", "b", "c"],
        "score": ["a", "b"],
    }
    alone = ("bench solvers", "models", "doctor", "app")
    words = [*name.split(), *arguments.get(name, [] if name in alone else ["a"])]
    assert call(*words)[0] == 70
    monkeypatch.setattr(command, "run", broken(ArgumentError("no")))
    assert call(*words) == (1, "", ["sgmse: error: no"])
    monkeypatch.setattr(command, "run", broken(KeyboardInterrupt()))
    assert call(*words) == (130, "", ["sgmse: interrupted"])


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "sgmse", "completion", "zsh"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 141


@pytest.mark.parametrize("words", [["--debug", "info"], ["info", "--debug"]])
@pytest.mark.parametrize(("error", "code"), [(ArgumentError("no"), 1), (RuntimeError("no"), 70)])
def test_debug_shows_the_traceback(words, error, code, call, monkeypatch):
    monkeypatch.setattr(cli.info, "run", broken(error))
    ended, _, err = call(*words)
    assert ended == code
    assert err[0] == "Traceback (most recent call last):"
    assert "raise error" in "".join(err)
    assert "--debug" not in err[-1]


def test_options_stand_anywhere():
    options = cli.parsed(["enhance", "a.wav", "-o", "out", "b.wav", "--over", "c.wav"])
    assert (options.inputs, options.output) == (["a.wav", "b.wav", "c.wav"], "out")
    options = cli.parsed(["score", "clean", "-o", "out", "one", "--align", "two"])
    assert (options.clean, options.enhanced, options.align) == ("clean", ["one", "two"], True)
    assert cli.parsed(["info"]).model == cli.parsed(["info", "--json"]).model == "default"


def test_values_that_stand_with_their_option():
    options = cli.parsed(
        ["enhance", "a.wav", "-obest", "-j4", "--dry=0.5", "--over", "--", "--x.wav"]
    )
    assert (options.output, options.jobs, options.dry, options.overwrite) == ("best", 4, 0.5, True)
    assert options.inputs == ["a.wav", "--x.wav"]


def test_names_of_two_words_with_debug_before_them():
    options = cli.parsed(["--debug", "bench", "solvers", "--files", "2"])
    assert (options.debug, options.files, options.command) == (
        True,
        2,
        "sgmse --debug bench solvers --files 2",
    )
    assert cli.parsed(["bench", "./solvers"]).suite == "./solvers"


# Help


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_help_are_understood(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert "70 for a fault of sgmse" in " ".join(text.split())
    examples = text.partition("\nexamples:\n")[2].partition("\nexit code")[0]
    commands = re.findall(r"^  (sgmse (?:.*\\\n)*.*)", examples, re.M)
    assert commands
    for line in commands:
        words = shlex.split(re.split(r"   +(?!-)", line.replace("\\\n", " "))[0])[1:]
        if "--help" not in words:
            assert " ".join(words).startswith(name)
            assert cli.parsed(words).run


def test_help_says_all_and_is_quick(capsys):
    with pytest.raises(SystemExit):
        cli.main(["enhance", "--help"])
    text = capsys.readouterr().out
    for word in ("sgmse enhance noisy.wav", "NAME_enhanced", "ode2", "pc", "wav, wave, bwf"):
        assert word in text
    code = (
        "import sys; from sgmse.cli.main import main\n"
        "try: main(['enhance', '--help'])\n"
        f"except SystemExit: sys.exit(bool({HEAVY} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_python_m(capsys):
    command = [sys.executable, "-m", "sgmse", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"sgmse {sgmse.__version__}\n"
    done = subprocess.run([*command[:3], "enhence"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: sgmse ")


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([word])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"sgmse {sgmse.__version__}\n"
