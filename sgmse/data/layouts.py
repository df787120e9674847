"""Test sets as they lie on disk: a root folder in, pairs of clean and noisy files with facts out.

    layout = detect(root)
    pairs = layout.pairs(root)

The file that a pair scores is the noisy one until a system has made its own of it
(`dataclasses.replace(pair, enhanced=...)`), so that scoring the pairs as they are gives the scores
of the noisy input: `Layout.self_check` holds them against what is published.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sgmse.data.pairs import INDEX, Facts, Pair, find_index, read_index, recordings_by_name
from sgmse.errors import AudioError, LayoutError, did_you_mean


class PublishedMean(NamedTuple):
    """A published mean over the noisy files of a set, and how near another one must come."""

    value: float
    tolerance: float


@dataclass(frozen=True)
class Layout:
    """How a test set lies on disk.

    Args:
        name: as papers have it.
        folders: the clean and the noisy one, below the root; the first two that exist are read.
        noisy_name: pattern of a noisy file's place in its folder, without suffix. What its groups
            catch is a fact, except for `id`.
        example: of a noisy file's place.
        clean_name: place of the clean file, a format with these groups.
        files: pairs in the published set; 0 if the set has no fixed number.
        index: whether the root holds an index.csv, by the names of the noisy files.
        log: a file of lines "NAME NOISE SNR", in the root or in its folder `logfiles`, if any.
        noisy_scores: published means over the noisy files, by the names of measures.
    """

    name: str
    folders: tuple[tuple[str, str], ...]
    noisy_name: str
    example: str
    clean_name: str = "{id}"
    files: int = 0
    index: bool = False
    log: str = ""
    noisy_scores: Mapping[str, PublishedMean] = field(default_factory=dict)

    def fits(self, root: str | Path) -> bool:
        """Whether the folders are there, and a noisy file with such a name in them."""
        folders = self._find_folders(Path(root))
        if folders is None or (self.index and find_index(folders[0]) is None):
            return False
        try:
            names = recordings_by_name(folders[1])
        except AudioError:  # it holds none
            return False
        return any(re.fullmatch(self.noisy_name, name) for name in names)

    def pairs(self, root: str | Path) -> list[Pair]:
        """The pairs, sorted by the places of the noisy files, which are their names.

        Args:
            root: the folder of the set, or one on the way from there to its recordings.

        Raises:
            LayoutError: folders that are not there, a file with another name, one without a
                partner, a log that cannot be understood.
        """
        root = Path(root)
        folders = self._find_folders(root)
        if folders is None:
            raise LayoutError(f"{root} does not hold {self.name}; it needs {self._needs()}")
        clean, noisy = map(recordings_by_name, folders)
        table = self._read_facts(root, folders[0])
        pairs = []
        for name, path in noisy.items():
            parts = re.fullmatch(self.noisy_name, name)
            if parts is None:
                raise LayoutError(
                    f"{path} has no name of {self.name}, such as {self.example}; move it away"
                )
            groups = parts.groupdict()
            clean_name = self.clean_name.format(**groups)
            if clean_name not in clean:
                needed = folders[0] / clean_name
                raise LayoutError(f"{path} lacks its clean file {needed}; copy the set again")
            facts = {key: text for key, text in groups.items() if text and key != "id"}
            facts |= table.get(name, {})
            pairs.append(Pair(name, clean.pop(clean_name), path, path, facts))
        if clean:
            alone = next(iter(clean.values()))
            raise LayoutError(
                f"{alone} lacks its noisy file in {folders[1]} ({len(clean)} such); copy the set "
                "again, or move them away"
            )
        return pairs

    def self_check(self, means: Mapping[str, float], files: int) -> list[str]:
        """What the noisy input scores here and in papers, a line for each measure that both have.

        Args:
            means: over the noisy files, by the names of measures.
            files: over how many.
        """
        lines = []
        if self.files and files != self.files:
            lines.append(
                f"{self.name}: {files} files, {self.files} published; the means of a part differ"
            )
        for name, (value, tolerance) in self.noisy_scores.items():
            if (mean := means.get(name)) is not None:
                differs = abs(mean - value) > tolerance
                verdict = f"differs by {mean - value:+.3g}" if differs else "agrees"
                lines.append(
                    f"{self.name}: {name} of the noisy input {mean:.3f}, published {value:g} "
                    f"± {tolerance:g}: {verdict}"
                )
        return lines

    def _find_folders(self, root: Path) -> tuple[Path, Path] | None:
        """The clean and the noisy folder; the root is any folder on their common way."""
        here = root.absolute().parts
        for clean, noisy in self.folders:
            places = PurePosixPath(clean).parts, PurePosixPath(noisy).parts
            for depth in range(len(places[0])):
                if depth == 0 or here[-depth:] == places[0][:depth]:
                    first, second = (_entered(root.joinpath(*place[depth:])) for place in places)
                    if first.is_dir() and second.is_dir():
                        return first, second
        return None

    def _needs(self) -> str:
        """What is looked for, for people."""
        folders = " or ".join(f"{clean} and {noisy}" for clean, noisy in self.folders)
        index = f" beside {INDEX}" if self.index else ""
        return f"{folders}{index}, with noisy files such as {self.example}"

    def _read_facts(self, root: Path, clean: Path) -> Mapping[str, Facts]:
        """Facts that a table beside the recordings has, by name."""
        if self.index and (index := find_index(clean)):
            return read_index(index)
        logs = (folder / self.log for folder in (root, root / "logfiles") if self.log)
        return next((_read_log(log) for log in logs if log.is_file()), {})


# Means over all files as in Richter et al. 2023 and many others, with room for another resampler
# from 48 kHz.
VOICEBANK_DEMAND = Layout(
    "VoiceBank-DEMAND",
    folders=(
        ("clean_testset_wav", "noisy_testset_wav"),
        ("clean_testset_wav_16k", "noisy_testset_wav_16k"),
        ("test/clean", "test/noisy"),
    ),
    noisy_name=r"(?P<id>(?P<speaker>p\d{3})_\d{3})",
    example="p232_001",
    files=824,
    log="log_testset.txt",
    noisy_scores={
        "PESQ-WB": PublishedMean(1.97, 0.02),
        "STOI": PublishedMean(0.921, 0.002),
        "ESTOI": PublishedMean(0.79, 0.01),
        "SI-SDR": PublishedMean(8.45, 0.1),
        "CSIG": PublishedMean(3.35, 0.05),
        "CBAK": PublishedMean(2.44, 0.05),
        "COVL": PublishedMean(2.63, 0.05),
    },
)

# What create_wsj0_chime3.py of sp-uhh/sgmse writes. It takes the noises in the order of the file
# system, so that every copy has mixtures of its own: SNRs uniform in 0 to 20 dB, told nowhere. The
# mean of the 650 or so has a standard deviation of 0.23 dB. The scores are those of Richter et al.
# 2023 for a copy of theirs.
WSJ0_CHIME3 = Layout(
    "WSJ0-CHiME3",
    folders=(("test/clean", "test/noisy"),),
    noisy_name=r"(?P<id>(?P<speaker>\w{3})[a-z]\w{4})",
    example="440c0201",
    noisy_scores={
        "PESQ-WB": PublishedMean(1.70, 0.06),
        "ESTOI": PublishedMean(0.78, 0.02),
        "SI-SDR": PublishedMean(10.0, 0.6),
    },
)

# What create_wsj0_reverb.py of sp-uhh/sgmse writes: speech, number, reverberation time as measured
# in the room and ratio of direct to reverberant sound. Of the rooms of its test part all is fixed
# by a seed but what ray tracing draws.
WSJ0_REVERB = Layout(
    "WSJ0-REVERB",
    folders=(("audio/test/anechoic", "audio/test/reverb"), ("test/anechoic", "test/reverb")),
    noisy_name=(
        r"(?P<id>(?P<speaker>\w{3})[a-z]\w{4}_\d+_(?P<rt60>\d+\.\d\d)_(?P<drr_db>-?\d+\.\d))"
    ),
    example="440c0201_0_0.62_-8.3",
)

# datasets/test_set of the branch interspeech2020/master of microsoft/DNS-Challenge. A noise out of
# Freesound has its class in the name, one out of AudioSet a random id. The level is that of the
# mixture in dB. The scores are those of Hao et al. 2021; others have an SI-SDR of 9.23.
_DNS_NAME = (
    r"clnsp\d+_(?:(?P<noise>[a-z]+(?:_[a-z]+)*)_\d{3,}.*|.+)"
    r"_snr(?P<snr_db>-?\d+)_tl(?P<level_db>-?\d+)_fileid_(?P<id>\d+)"
)
_DNS_FOLDER = "datasets/test_set/synthetic/no_reverb"
DNS_2020 = Layout(
    "DNS-2020",
    folders=((f"{_DNS_FOLDER}/clean", f"{_DNS_FOLDER}/noisy"),),
    noisy_name=_DNS_NAME,
    clean_name="clean_fileid_{id}",
    example="clnsp113_car_19980_0_snr18_tl-30_fileid_178",
    files=150,
    noisy_scores={
        "PESQ-WB": PublishedMean(1.582, 0.01),
        "STOI": PublishedMean(0.9152, 0.001),
        "SI-SDR": PublishedMean(9.07, 0.2),
    },
)
DNS_2020_REVERB = replace(
    DNS_2020,
    name="DNS-2020-reverb",
    folders=tuple(
        (clean.replace("no_reverb", "with_reverb"), noisy.replace("no_reverb", "with_reverb"))
        for clean, noisy in DNS_2020.folders
    ),
    noisy_scores={
        "PESQ-WB": PublishedMean(1.822, 0.01),
        "STOI": PublishedMean(0.8662, 0.001),
        "SI-SDR": PublishedMean(9.03, 0.2),
    },
)

# What generate_ears_wham.py of sp-uhh/ears_benchmark writes with --copy_clean, in its second
# version; the SNR is a difference of loudnesses (ITU-R BS.1770).
EARS_WHAM = Layout(
    "EARS-WHAM",
    folders=(("test/clean", "test/noisy"),),
    noisy_name=r"(?P<speaker>p\d{3})/(?P<id>\d{5})_(?P<snr_db>-?\d+\.\d)dB",
    clean_name="{speaker}/{id}",
    example="p102/00000_12.3dB",
    files=886,
)

#: What `sgmse mix` writes.
MIXED = Layout(
    "mixed",
    folders=(("clean", "noisy"),),
    noisy_name=r"(?P<id>.+)",
    example="000",
    index=True,
)

LAYOUTS: tuple[Layout, ...] = (
    VOICEBANK_DEMAND,
    WSJ0_CHIME3,
    WSJ0_REVERB,
    DNS_2020,
    DNS_2020_REVERB,
    EARS_WHAM,
    MIXED,
)


def layout_named(name: str) -> Layout:
    """The layout of that name, in any case. Raises `LayoutError` with the names there are."""
    for layout in LAYOUTS:
        if layout.name.lower() == name.lower():
            return layout
    names = ", ".join(layout.name for layout in LAYOUTS)
    near = did_you_mean(name, [layout.name for layout in LAYOUTS])
    raise LayoutError(f"there is no layout {name!r}{near}; known are {names}")


def detect(root: str | Path) -> Layout:
    """The one known layout in which the folder lies.

    Raises `LayoutError` if there is none, with what was looked for, and if there are several.
    """
    if not Path(root).is_dir():
        raise LayoutError(f"there is no folder {root}; check the spelling")
    fitting = [layout for layout in LAYOUTS if layout.fits(root)]
    if len(fitting) > 1:
        names = " and ".join(layout.name for layout in fitting)
        raise LayoutError(f"{root} holds {names}; name one of them, or give a folder further down")
    if not fitting:
        sought = "; ".join(f"for {layout.name}: {layout._needs()}" for layout in LAYOUTS)
        raise LayoutError(
            f"{root} holds no known test set; name a clean and a noisy folder instead. "
            f"Looked {sought}"
        )
    return fitting[0]


def _entered(place: Path) -> Path:
    """Where an archive was unpacked into a folder of its own name, the inner one."""
    inner = place / place.name
    return inner if inner.is_dir() else place


def _read_log(path: Path) -> dict[str, Facts]:
    """Lines such as "p232_001 bus 17.5", by name."""
    facts: dict[str, Facts] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not re.fullmatch(r"-?\d+(\.\d+)?", words[2]):
            raise LayoutError(f"{path}, line {number}: needs a name, a noise and an SNR; mend it")
        facts[words[0]] = {"noise": words[1], "snr_db": words[2]}
    return facts
