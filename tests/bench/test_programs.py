import sys
from pathlib import Path

import numpy as np
import pytest

from sgmse.audio import read
from sgmse.bench._programs import Command
from sgmse.errors import SystemFailedError

COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"


pytestmark = pytest.mark.usefixtures("stereo")


def command(script: str, arguments: str = "{input} {output}", timeout=None) -> Command:
    Path("script.py").write_text(script)
    return Command(f"'{sys.executable}' script.py {arguments}", timeout)


def test_a_command_reads_and_writes_wav():
    system = command(COPY)
    system.require()
    assert not system.seeded
    Path("a b").mkdir()
    work = system.load()(Path("noisy.flac"), Path("a b/out.wav"), 0)
    np.testing.assert_array_equal(read("a b/out.wav")[0], read("noisy.flac")[0])
    assert read("a b/out.wav")[1].format == "WAV"
    assert work.seconds > 0
    assert [path.name for path in Path("a b").iterdir()] == ["out.wav"]


def test_a_command_that_takes_a_seed():
    script = "import sys, shutil; open('seed', 'w').write(sys.argv[3]); " + COPY
    system = command(script, "{input} {output} --seed={seed}")
    assert system.seeded
    system.load()(Path("noisy.flac"), Path("out.wav"), 7)
    assert Path("seed").read_text() == "--seed=7"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import sys; print('no licence', file=sys.stderr); sys.exit(3)", "code 3: no licence"),
        ("", "wrote no {output}"),
        ("import sys; open(sys.argv[2], 'w').write('x')", "output.wav"),
        ("import time; time.sleep(20)", "longer than 0.5 s"),
    ],
)
def test_a_command_that_fails_leaves_nothing(script, says):
    system = command(script, timeout=0.5 if "sleep" in script else None)
    with pytest.raises((SystemFailedError, ValueError), match=says):
        system.load()(Path("noisy.flac"), Path("out.wav"), 0)
    assert {path.name for path in Path.cwd().iterdir()} == {"noisy.flac", "script.py"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("denoise {input}", "lacks {output}"),
        ("denoise {output}", "lacks {input}"),
        ("denoise '{input} {output}", "is no command"),
    ],
)
def test_lines_that_are_none(line, says):
    with pytest.raises(ValueError, match=says):
        Command(line)


def test_commands_that_are_not_there():
    with pytest.raises(ValueError, match="no program 'no-such-program'"):
        Command("no-such-program {input} {output}").require()
    with pytest.raises(ValueError, match="no folder absent"):
        Command("cp {input} {output}").rooted(Path("absent")).require()
    with pytest.raises(ValueError, match="positive"):
        Command("cp {input} {output}", timeout=0)


def test_a_program_below_the_folder_of_the_suite():
    Path("tools").mkdir()
    program = Path("tools/copy")
    program.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    program.chmod(0o755)
    system = Command("./copy {input} {output}").rooted(Path("tools"))
    system.require()
    system.load()(Path("noisy.flac"), Path("out.wav"), 0)
    assert Path("out.wav").exists()


def test_conditions_of_a_command_tell_its_script():
    first = command(COPY).conditions()
    assert first == command(COPY).conditions()
    assert first != command(COPY + "; pass").conditions()
    assert first != command(COPY, "{input} {output} fast").conditions()
    about = command(COPY).about(first)
    assert about.what == command(COPY).line
    assert about.version == f"digest {first['files'][:8]}"
