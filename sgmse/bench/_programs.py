"""Programs as systems: whatever can be started from a command line."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from typing_extensions import override

from sgmse import audio
from sgmse._files import whole
from sgmse.bench._systems import EnhanceFile, System, Usage
from sgmse.errors import ArgumentError, SystemFailedError
from sgmse.scoring.provenance import About, combined, digest


@dataclass(frozen=True)
class Command(System):
    """Any program, started once for each file, without a shell.

    Args:
        line: with {input}, a WAV file, {output}, where the program is to write a file that
            soundfile reads, and perhaps {seed}: "denoise --fast {input} -o {output}". A relative
            program, such as ./denoise, and other paths start at the folder of the suite.
        timeout: seconds after which a file counts as failed; None waits.
        folder: where it is run; the folder of the suite if absent.
    """

    line: str
    timeout: float | None = None
    folder: Path = Path()

    def __post_init__(self) -> None:
        words = self._words
        for place in ("{input}", "{output}"):
            if not any(place in word for word in words):
                raise ArgumentError(
                    f"line lacks {place}; write it like: denoise {{input}} {{output}}"
                )
        if self.timeout is not None and self.timeout <= 0:
            raise ArgumentError(f"timeout must be positive, not {self.timeout:g}")

    @property
    def _words(self) -> list[str]:
        try:
            return shlex.split(self.line)
        except ValueError as error:
            raise ArgumentError(f"line {self.line!r} is no command ({error}); mend it") from error

    @property
    def _program(self) -> Path:
        name = self._words[0]
        program = shutil.which(name if Path(name).name == name else self.folder.absolute() / name)
        if program is None:
            raise ArgumentError(f"there is no program {name!r}; install it, or give its path")
        return Path(program)

    @property
    @override
    def seeded(self) -> bool:
        """Whether the line takes a seed."""
        return "{seed}" in self.line

    @override
    def require(self) -> None:
        """Raise `ValueError` if there is no such program or folder."""
        if not self.folder.is_dir():
            raise ArgumentError(f"there is no folder {self.folder}, in which the command is to run")
        _ = self._program

    @override
    def conditions(self) -> Mapping[str, str]:
        """The line, and the contents of the program and of files that the line names."""
        named = [self.folder / word for word in self._words[1:]]
        files = [self._program, *(path for path in named if path.is_file())]
        return {
            "system": f"Command({self.line!r}, {self.timeout})",
            "files": combined({str(i): digest(path) for i, path in enumerate(files)}),
        }

    @override
    def about(self, conditions: Mapping[str, str]) -> About:
        """The line, and its program by the start of the digest."""
        return About(self.line, f"digest {conditions['files'][:8]}")

    @override
    def load(self) -> EnhanceFile:
        """Input and output of each call are in a folder of their own."""
        return self._enhance

    def _enhance(self, source: Path, target: Path, seed: int) -> Usage:
        samples, about = audio.read(source)
        with TemporaryDirectory() as folder, whole(target) as part:
            given, made = Path(folder, "input.wav"), Path(folder, "output.wav")
            audio.write(given, samples, about)
            places = {"{input}": str(given), "{output}": str(made), "{seed}": str(seed)}
            arguments = [
                re.sub("{input}|{output}|{seed}", lambda place: places[place[0]], word)
                for word in self._words[1:]
            ]
            start = perf_counter()
            self._call(arguments)
            seconds = perf_counter() - start
            if not made.exists():
                raise SystemFailedError("the command wrote no {output}")
            audio.read(made)  # whole and finite, or an `AudioError`
            shutil.copyfile(made, part)
        return Usage(seconds)

    def _call(self, arguments: Sequence[str]) -> None:
        try:
            subprocess.run(
                [self._program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self.timeout,
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise SystemFailedError(f"the command took longer than {self.timeout:g} s") from error
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            why = "".join(f": {line}" for line in lines[-1:])
            raise SystemFailedError(
                f"the command ended with exit code {error.returncode}{why}"
            ) from error
