"""Programs as systems: whatever can be started from a command line."""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from sgmse import audio
from sgmse.bench.systems import Enhance, Maker, Work
from sgmse.errors import ArgumentError, SystemFailedError
from sgmse.scoring.provenance import combined, digest


@dataclass(frozen=True)
class Command(Maker):
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
        words = self._words()
        for place in ("{input}", "{output}"):
            if not any(place in word for word in words):
                raise ArgumentError(
                    f"line lacks {place}; write it like: denoise {{input}} {{output}}"
                )
        if self.timeout is not None and self.timeout <= 0:
            raise ArgumentError(f"timeout must be positive, not {self.timeout:g}")

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.line)
        except ValueError as error:
            raise ArgumentError(f"line {self.line!r} is no command ({error}); mend it") from error

    @property
    def seeded(self) -> bool:
        """Whether the line takes a seed."""
        return "{seed}" in self.line

    def below(self, root: Path) -> "Command":
        """The same, run in a folder below `root`."""
        return replace(self, folder=root / self.folder)

    def require(self) -> None:
        """Raise `ValueError` if there is no such program or folder."""
        if not self.folder.is_dir():
            raise ArgumentError(f"there is no folder {self.folder}, in which the command is to run")
        self._program()

    def _program(self) -> str:
        name = self._words()[0]
        found = shutil.which(name if Path(name).name == name else self.folder.absolute() / name)
        if found is None:
            raise ArgumentError(f"there is no program {name!r}; install it, or give its path")
        return str(found)

    def conditions(self) -> Mapping[str, str]:
        """The line, and the contents of the program and of files that the line names."""
        named = [self.folder / word for word in self._words()[1:]]
        files = [Path(self._program()), *(path for path in named if path.is_file())]
        return {
            "system": f"Command({self.line!r}, {self.timeout})",
            "files": combined({str(i): digest(path) for i, path in enumerate(files)}),
        }

    def opened(self) -> Enhance:
        """Each file in a folder of its own beside the target, of which the output is taken."""
        return self._enhance

    def _enhance(self, source: Path, target: Path, seed: int) -> Work:
        samples, about = audio.read(source)
        prefix = f".{target.name}."
        with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as folder:
            given, made = (Path(folder).absolute() / f"{role}.wav" for role in ("input", "output"))
            audio.write(given, samples, about)
            values = {"{input}": str(given), "{output}": str(made), "{seed}": str(seed)}
            seconds = self._run([_filled(word, values) for word in self._words()[1:]])
            if not made.exists():
                raise SystemFailedError("the command wrote no {output}")
            audio.read(made)  # whole and finite, or an `AudioError`
            made.replace(target)
        return Work(seconds)

    def _run(self, arguments: list[str]) -> float:
        start = perf_counter()
        try:
            done = subprocess.run(
                [self._program(), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SystemFailedError(f"the command took longer than {self.timeout:g} s") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = f": {said[-1]}" if said else ""
            raise SystemFailedError(f"the command ended with exit code {done.returncode}{why}")
        return perf_counter() - start


def _filled(word: str, values: Mapping[str, str]) -> str:
    for place, value in values.items():
        word = word.replace(place, value)
    return word
