"""What a result depends on: contents of files, versions of packages, the machine."""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

# Whose versions can change a score; those that are not installed are left out.
PACKAGES = (
    *("sgmse-toolkit", "numpy", "scipy", "soundfile", "soxr", "torch", "pesq", "pystoi"),
    *("speechmos", "distillmos", "librosa", "onnxruntime", "pesqc2", "visqol-python"),
    *("ai-edge-litert", "pocketsphinx", "resemblyzer"),
)
ABSENT = "unreadable"  # in place of the digest of a file that cannot be read


class About(NamedTuple):
    """What a reader of a table is told of a system; "" for what is not known.

    Args:
        what: was run, with its settings.
        version: of the package, or of the weights.
        licence: of the weights; of the code where there are none.
    """

    what: str
    version: str = ""
    licence: str = ""


def versions() -> dict[str, str]:
    """Of Python, this library and the packages that scores depend on."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def machine() -> dict[str, str | int]:
    """Where it ran: system, processor and its logical cores."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def digest(path: Path) -> str:
    """BLAKE2b of the content of a file, 32 hexadecimal digits; `ABSENT` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ABSENT


def digests(paths: Iterable[Path]) -> dict[Path, str]:
    """`digest` of each file, several at a time."""
    different = list(dict.fromkeys(paths))
    with ThreadPoolExecutor() as pool:
        return dict(zip(different, pool.map(digest, different), strict=True))


def combined(parts: Mapping[str, str]) -> str:
    """One digest of named ones, whatever their order."""
    text = "\n".join(f"{name}\0{parts[name]}" for name in sorted(parts))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
