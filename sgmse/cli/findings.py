"""What works on this machine, tried where trying is quick, and what mends what does not.

A finding "works" where the thing itself was done a moment ago; a package of which only the version
was read is "installed".
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path

from sgmse.errors import CheckpointError, SgmseError

DISTRIBUTION = "sgmse-toolkit"

#: What each extra is for.
EXTRAS = {
    "metrics": "PESQ, STOI, ESTOI",
    "mos": "DNSMOS",
    "distillmos": "DistillMOS",
    "pesqc2": "PESQ by corrigendum 2",
    "visqol": "ViSQOL",
    "words": "errors of words and phones",
    "speaker": "likeness of voices",
    "plot": "pictures",
    "app": "the page in the browser",
    "app-test": "the tests of that page",
    "live": "microphones and loudspeakers",
    "livekit": "streams in agents of LiveKit",
    "pipecat": "streams in agents of Pipecat",
    "serve": "streams over WebSockets",
    "report": "tables with figures, pages to listen to",
    "export": "models as ONNX files",
    "features": "mel spectra, MFCCs, Griffin-Lim",
    "openvino": "models as OpenVINO files",
    "media": "m4a, mp4, mkv, webm, wma and films",
    "peers": "other enhancers to compare with",
    "train": "training",
    "wandb": "curves of a training in Weights & Biases",
    "ray": "many recordings on many machines",
    "docs": "the site of the documentation",
    "neighbours": "datasets, lhotse and pedalboard, beside which it is tested",
    "dev": "the tests",
}


class State(StrEnum):
    """How a thing is."""

    WORKS = "works"
    INSTALLED = "installed"
    ABSENT = "absent"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One thing: its name, how it is, what there is to say, and what mends or speeds it up."""

    name: str
    state: State
    text: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """All, one after the other; the last is "enhancing", which is what the others are for."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("packages", packages),
        ("torch", build),
        ("device", devices),
        ("threads", threads),
        ("formats", formats),
        ("media", media),
        ("models", models),
        ("caches", caches),
        ("enhancing", enhancing),
    )
    for name, check in checks:
        yield from _guarded(name, check)


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What it finds, and that it failed where it did: whatever is broken, the rest is told."""
    try:
        yield from check()
    except Exception as error:  # a library may fail to load in any way
        why = f"{type(error).__name__}: {error}" if not isinstance(error, SgmseError) else error
        remedy = f"pip install --force-reinstall {DISTRIBUTION}"
        yield Finding(name, State.BROKEN, " ".join(str(why).split())[:300], remedy)


# Packages


def packages(requirements: list[str] | None = None) -> Iterator[Finding]:
    """Python, this package, what it needs, and its extras; `requirements` as in metadata."""
    import sgmse

    system = f"{platform.python_version()}, {platform.platform(terse=True)}, {platform.machine()}"
    yield Finding("python", State.WORKS, system)
    place = Path(str(sgmse.__file__)).parent
    yield Finding("sgmse", State.WORKS, f"{sgmse.__version__}, {place}")
    if requirements is None:
        try:
            requirements = metadata.requires(DISTRIBUTION) or []
        except metadata.PackageNotFoundError:
            text = f"{place.parent} is not installed as a package: its extras are not known"
            yield Finding("extras", State.ABSENT, text, f"pip install -e {place.parent}")
            return
    yield _needs("packages", "", requirements, "what sgmse needs")
    for extra, what in EXTRAS.items():
        yield _needs(f"extra {extra}", extra, requirements, what)


def _needs(name: str, extra: str, requirements: list[str], what: str) -> Finding:
    """Whether what an extra brings, "" for what is always needed, is there and new enough."""
    versions, lacking, odd = [], [], []
    for requirement in _of(extra, requirements):
        package, fits, wanted = requirement
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            lacking.append(package)
            continue
        versions.append(f"{package} {version}")
        if not fits(version):
            odd.append(f"{package} {version} is not {wanted}")
    remedy = f"pip install '{DISTRIBUTION}{extra and f'[{extra}]'}'"
    if odd:
        return Finding(name, State.BROKEN, f"{what}: {', '.join(odd)}", remedy)
    if lacking:
        return Finding(name, State.ABSENT, f"{what}: no {', '.join(lacking)}", remedy)
    if not versions:  # pip installs nothing for an extra that it does not know
        text = "the version that was installed has no such extra"
        copy = Path(__file__).parents[2]
        known = (copy / "pyproject.toml").is_file()
        place = f"-e '{copy}[{extra}]'" if known else f"--upgrade '{DISTRIBUTION}[{extra}]'"
        return Finding(name, State.ABSENT, f"{what}: {text}", f"pip install {place}")
    return Finding(name, State.INSTALLED, f"{what}: {', '.join(versions)}")


def _of(extra: str, requirements: list[str]) -> Iterator[tuple[str, Callable[[str], bool], str]]:
    """Name, test of a version and wanted versions of what an extra brings, by others as well."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or "extra" not in str(marker):
            if extra or (marker is not None and not marker.evaluate()):
                continue
        elif not extra or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == DISTRIBUTION:
            for inner in sorted(requirement.extras):
                yield from _of(inner, requirements)
            continue
        fits = partial(requirement.specifier.contains, prereleases=True)
        yield requirement.name, fits, str(requirement.specifier)


# The machine


def build() -> Iterator[Finding]:
    """The torch that there is."""
    import torch

    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    capability = torch.backends.cpu.get_cpu_capability()
    yield Finding("torch", State.WORKS, f"{torch.__version__}, {cuda}, {capability}")


def devices() -> Iterator[Finding]:
    """Each device that torch knows, after a sum on it."""
    import torch

    yield _device("cpu", platform.processor() or platform.machine())
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        yield _device(f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        yield _device("mps", "on request, --device mps")
    if torch.version.cuda is None and shutil.which("nvidia-smi"):
        text = "there is a driver of NVIDIA, and a torch without CUDA"
        remedy = "pip install --force-reinstall torch, as https://pytorch.org/get-started says"
        yield Finding("device cuda", State.ABSENT, text, remedy)
    elif torch.version.cuda is not None and not torch.cuda.is_available():
        text = "torch has CUDA, and finds no GPU or no driver that is new enough"
        yield Finding("device cuda", State.ABSENT, text)


def _device(name: str, text: str) -> Finding:
    import torch

    try:
        right = float(torch.ones(8, device=name).sum()) == 8
    except (RuntimeError, AssertionError) as error:  # as torch says it without CUDA
        why = str(error).partition("\n")[0]
        return Finding(f"device {name}", State.BROKEN, f"{text}: {why}", "use --device cpu")
    return Finding(f"device {name}", State.WORKS if right else State.BROKEN, text)


def threads() -> Iterator[Finding]:
    """How many there are, and whether others want the cores."""
    import torch

    count, cores, load = torch.get_num_threads(), _cores(), _load()
    text = f"{count} of {cores:g} cores, load {load:.1f}"
    remedy = ""
    if count > 1 and (count > cores or (load >= 0.5 and count + load > cores + 0.5)):
        remedy = "--threads 1 may be many times faster while others work here"
    yield Finding("threads", State.WORKS, text, remedy)


def _cores() -> float:
    """Those that this process may use, by its affinity and the quota of its container."""
    try:
        cores: float = len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # none, or "max"
        return cores


def _load() -> float:
    """Of the last minute; 0 where it is not known."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


# Files


def formats() -> Iterator[Finding]:
    """Containers of libsndfile, each written and read back."""
    import soundfile

    from sgmse.audio import FOREIGN, SUFFIXES

    about = f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}"
    # Of each container the first name, and of Ogg both codings.
    own = {SUFFIXES[name][0]: name for name in reversed(SUFFIXES) if name not in FOREIGN}
    names = sorted({*own.values(), "opus"})
    yield _round_trips(
        "formats", names, about, f"pip install '{DISTRIBUTION}' in a new environment"
    )


def media() -> Iterator[Finding]:
    """Containers of FFmpeg, of each usual coding one."""
    try:
        import av
    except ImportError as error:
        remedy = f"pip install '{DISTRIBUTION}[media]'"
        yield Finding("media", State.ABSENT, f"no m4a, mp4, mkv, webm, wma ({error})", remedy)
        return
    about = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
    remedy = f"pip install --force-reinstall '{DISTRIBUTION}[media]'"
    yield _round_trips("media", ["m4a", "webm"], about, remedy)


def _round_trips(name: str, suffixes: list[str], about: str, remedy: str) -> Finding:
    """Write and read a short sound in each format."""
    import numpy as np

    from sgmse.audio import Info, read, write

    sound = (np.sin(np.arange(4800) / 10) / 10).astype(np.float32)[None]
    wrong = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for suffix in suffixes:
            path = Path(folder) / f"sound.{suffix}"
            try:
                write(path, sound, Info(48000))
                found, _ = read(path)
            except (SgmseError, OSError, RuntimeError) as error:
                wrong.append(f"{suffix}: {error}".replace(f"{path}: ", ""))
                continue
            same = min(found.shape[-1], sound.shape[-1])
            product = float(found[0, :same] @ sound[0, :same])
            if not product > 0.5 * float(sound[0, :same] @ sound[0, :same]):
                wrong.append(f"{suffix}: it reads another sound than it wrote")
    if wrong:
        return Finding(name, State.BROKEN, f"{'; '.join(wrong)} ({about})", remedy)
    return Finding(name, State.WORKS, f"{', '.join(suffixes)} written and read ({about})")


def models() -> Iterator[Finding]:
    """The models in the package, by the checksums of their weights; `enhancing` loads one."""
    from sgmse.checkpoints import PACKAGED, locate

    for name in PACKAGED:
        folder = locate(name)
        try:
            about = _whole(folder)
        except (OSError, ValueError) as error:
            remedy = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
            yield Finding(f"model {name}", State.BROKEN, str(error), remedy)
        else:
            yield Finding(f"model {name}", State.WORKS, about)


def _whole(folder: Path) -> str:
    """Say that a packaged model is whole. Raises `SgmseError`, `OSError` or `ValueError`."""
    lines = (folder.parent / "SHA256SUMS").read_text("ascii").splitlines()
    sums = {name: total for total, name in map(str.split, lines)}
    own = [name for name in sums if name.startswith(f"{folder.name}/")]
    if not own:
        raise CheckpointError(f"{folder.parent / 'SHA256SUMS'} does not list {folder.name}")
    for name in own:
        path = folder.parent / name
        if hashlib.sha256(path.read_bytes()).hexdigest() != sums[name]:
            raise CheckpointError(f"{path} is damaged: its SHA-256 is not that of what was shipped")
    json.loads((folder / "config.json").read_text("utf-8"))
    return f"{', '.join(Path(name).name for name in own)} whole by SHA-256"


def caches() -> Iterator[Finding]:
    """Where models of the hub and passing files are kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    yield _folder("cache of the hub", Path(HF_HUB_CACHE), "HF_HOME")
    yield _folder("temporary files", Path(tempfile.gettempdir()), "TMPDIR")


def _folder(name: str, folder: Path, variable: str) -> Finding:
    """Whether it can be written to; a folder that is not there yet, where it would be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        remedy = f"set {variable} to a folder that can be written to"
        return Finding(name, State.BROKEN, f"{folder} cannot be written to", remedy)
    made = "" if there == folder else ", not made yet"
    return Finding(name, State.WORKS, f"{folder}, {free:.1f} GB free{made}")


def enhancing() -> Iterator[Finding]:
    """Noise through the default model, on the device that it takes by itself."""
    import numpy as np

    from sgmse.enhancer import load

    noise = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enhancer = load()
        result = enhancer(noise, 16000)
    ratio = float(np.sqrt((result**2).mean() / (noise**2).mean()))
    device = next(enhancer.model.parameters()).device
    if not ratio < 0.5:  # nor where it is no number
        text = f"the default model leaves {ratio:.0%} of noise on {device}"
        yield Finding("enhancing", State.BROKEN, text, "please report it with these lines")
        return
    yield Finding("enhancing", State.WORKS, f"the default model takes noise away, on {device}")


def usable(found: list[Finding]) -> bool:
    """Whether recordings can be enhanced: it was tried, and the default model is whole."""
    states = {finding.name: finding.state for finding in found}
    return all(states.get(name) == State.WORKS for name in ("model default", "enhancing"))
