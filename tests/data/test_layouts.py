"""Each layout on a small look-alike of the published set."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sgmse.data.layouts import (
    DNS_2020,
    DNS_2020_REVERB,
    EARS_WHAM,
    LAYOUTS,
    MIXED,
    VOICEBANK_DEMAND,
    WSJ0_CHIME3,
    WSJ0_REVERB,
    PublishedMean,
    detect,
    layout_named,
)
from sgmse.data.noisy_sets import Mixer, mix
from sgmse.data.pairs import facts_beside, match_all, recordings_by_name
from sgmse.errors import LayoutError

DNS_NAMES = (
    "clnsp102_traffic_248091_3_snr0_tl-21_fileid_268",
    "clnsp104_G3hs6PFniM0_snr4_tl-27_fileid_133",
    "clnsp263_uOZZEV1IcDI-copy_machine_426874_7_snr3_tl-31_fileid_290",
    "clnsp414_pa_kcBIPQJM_snr5_tl-23_fileid_145",
    "clnsp572_fan_out_62635_0_snr5_tl-20_fileid_21",
    "clnsp591_clatter_noise_166453__zabuhailo__metalworking-hammer-5_5_snr9_tl-27_fileid_1",
)


def touch(root: Path, *names: str) -> None:
    """Recordings, as far as their names go."""
    for name in names:
        path = root / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")


def voicebank(root: Path, clean: str = "clean_testset_wav", noisy: str = "noisy_testset_wav"):
    names = ("p232_001", "p232_010", "p257_003")
    touch(root, *(f"{place}/{name}" for place in (clean, noisy) for name in names))
    return root


def wsj0_chime3(root: Path):
    touch(root, *(f"{p}/440c02{n}" for p in ("test/clean", "test/noisy") for n in ("01", "0a")))
    touch(root, "train/clean/011a0101", "train/noisy/011a0101")
    return root


def wsj0_reverb(root: Path):
    names = ("440c0201_0_0.62_-8.3", "441o030b_12_1.04_-11.0")
    kinds = ("anechoic", "reverb", "unauralized")
    touch(root, *(f"audio/test/{kind}/{name}" for kind in kinds for name in names))
    return root


def dns(root: Path, *kinds: str):
    for kind in kinds:
        below = root / "datasets" / "test_set" / "synthetic" / kind
        touch(below / "noisy", *DNS_NAMES)
        touch(below / "clean", *(f"clean_{re.search('fileid.*', n)[0]}" for n in DNS_NAMES))
    return root


def ears_wham(root: Path):
    touch(root / "test/clean", "p102/00000", "p102/00002", "p107/00001")
    touch(root / "test/noisy", "p102/00000_12.3dB", "p102/00002_-2.5dB", "p107/00001_0.0dB")
    return root


def shape(pairs, root):
    """What is compared: name, place of the clean file, facts."""
    return [(p.name, p.clean.relative_to(root).as_posix(), dict(p.facts)) for p in pairs]


def test_voicebank_demand(tmp_path):
    root = voicebank(tmp_path)
    assert detect(root) is VOICEBANK_DEMAND
    speakers = [("p232_001", "p232"), ("p232_010", "p232"), ("p257_003", "p257")]
    plain = [(n, f"clean_testset_wav/{n}.wav", {"speaker": s}) for n, s in speakers]
    pairs = VOICEBANK_DEMAND.pairs(root)
    assert shape(pairs, root) == plain
    assert pairs[0].enhanced == pairs[0].noisy == root / "noisy_testset_wav" / "p232_001.wav"
    log = "p232_001 bus 17.5\n\np257_003 cafe 2.5 \np999_001 bus 1\n"
    for place in (root, root / "logfiles"):
        place.mkdir(exist_ok=True)
        (place / "log_testset.txt").write_text(log)
        facts = {p.name: p.facts for p in VOICEBANK_DEMAND.pairs(root)}
        assert facts["p257_003"] == {"speaker": "p257", "noise": "cafe", "snr_db": "2.5"}
        assert facts["p232_010"] == {"speaker": "p232"}
        (place / "log_testset.txt").unlink()
    (root / "log_testset.txt").write_text("p232_001 bus 17.5\np232_010 17.5 bus\n")
    with pytest.raises(LayoutError, match=r"log_testset\.txt, line 2: needs a name, a noise"):
        VOICEBANK_DEMAND.pairs(root)


@pytest.mark.parametrize(
    "places",
    [
        ("clean_testset_wav_16k", "noisy_testset_wav_16k"),
        ("test/clean", "test/noisy"),
        ("clean_testset_wav/clean_testset_wav", "noisy_testset_wav"),  # unpacked twice
    ],
)
def test_copies_of_voicebank_demand(tmp_path, places):
    root = voicebank(tmp_path, *places)
    assert detect(root) is VOICEBANK_DEMAND
    assert [p.name for p in VOICEBANK_DEMAND.pairs(root)] == ["p232_001", "p232_010", "p257_003"]


def test_wsj0_chime3(tmp_path):
    root = wsj0_chime3(tmp_path)
    for place in (root, root / "test"):
        assert detect(place) is WSJ0_CHIME3
        assert shape(WSJ0_CHIME3.pairs(place), root) == [
            (name, f"test/clean/{name}.wav", {"speaker": "440"})
            for name in ("440c0201", "440c020a")
        ]


def test_wsj0_reverb(tmp_path):
    root = wsj0_reverb(tmp_path)
    for place in (root, root / "audio", root / "audio" / "test"):
        assert detect(place) is WSJ0_REVERB
    assert shape(WSJ0_REVERB.pairs(root), root) == [
        (
            "440c0201_0_0.62_-8.3",
            "audio/test/anechoic/440c0201_0_0.62_-8.3.wav",
            {"speaker": "440", "rt60": "0.62", "drr_db": "-8.3"},
        ),
        (
            "441o030b_12_1.04_-11.0",
            "audio/test/anechoic/441o030b_12_1.04_-11.0.wav",
            {"speaker": "441", "rt60": "1.04", "drr_db": "-11.0"},
        ),
    ]


def test_dns_2020(tmp_path):
    root = dns(tmp_path, "no_reverb", "with_reverb")
    with pytest.raises(LayoutError, match="holds DNS-2020 and DNS-2020-reverb; name one of them"):
        detect(root)
    synthetic = root / "datasets/test_set/synthetic"
    assert detect(synthetic / "no_reverb") is DNS_2020
    assert detect(synthetic / "with_reverb") is DNS_2020_REVERB
    pairs = DNS_2020.pairs(root / "datasets")
    assert [p.name for p in pairs] == sorted(DNS_NAMES)
    assert all(p.clean.stem == "clean_" + re.search("fileid.*", p.name)[0] for p in pairs)
    assert [p.facts.get("noise") for p in pairs] == [
        *("traffic", None, None, None, "fan_out", "clatter_noise")
    ]
    assert pairs[1].facts == {"snr_db": "4", "level_db": "-27"}
    assert {p.clean.parts[-3] for p in DNS_2020_REVERB.pairs(root)} == {"with_reverb"}
    with pytest.raises(LayoutError, match=r"does not hold DNS-2020; it needs datasets/test_set"):
        DNS_2020.pairs(synthetic / "with_reverb")


def test_ears_wham(tmp_path):
    root = ears_wham(tmp_path)
    assert detect(root) is detect(root / "test") is EARS_WHAM
    assert shape(EARS_WHAM.pairs(root), root) == [
        ("p102/00000_12.3dB", "test/clean/p102/00000.wav", {"speaker": "p102", "snr_db": "12.3"}),
        ("p102/00002_-2.5dB", "test/clean/p102/00002.wav", {"speaker": "p102", "snr_db": "-2.5"}),
        ("p107/00001_0.0dB", "test/clean/p107/00001.wav", {"speaker": "p107", "snr_db": "0.0"}),
    ]


def test_sets_that_were_mixed_here(tmp_path):
    rng = np.random.default_rng(0)
    for place in ("clean/anna", "noise"):
        (tmp_path / place).mkdir(parents=True)
        soundfile.write(tmp_path / place / "1.wav", rng.uniform(-0.1, 0.1, 8000), 8000)
    root = tmp_path / "test"
    mix(tmp_path / "clean", tmp_path / "noise", root, Mixer((2.5, 5.0), sample_rate=8000), count=2)
    assert detect(root) is MIXED
    clean, noisy = (recordings_by_name(root / kind) for kind in ("clean", "noisy"))
    for pairs in (MIXED.pairs(root), match_all(clean, noisy, facts_beside(root / "clean"))):
        assert [p.name for p in pairs] == ["000", "001"]
        facts = [(p.facts["snr_db"], p.facts["speaker"], p.facts["noise"]) for p in pairs]
        assert facts == [("2.5", "anna", "1.wav"), ("5", "anna", "1.wav")]
        assert pairs[1].enhanced == pairs[1].noisy == root / "noisy" / "001.flac"


def test_the_test_set_of_the_corpus(shared):
    root = shared / "corpus" / "test"
    assert detect(root) is MIXED
    pairs = MIXED.pairs(root)
    assert len(pairs) == 95
    assert {p.facts["snr_db"] for p in pairs} == {"-2.5", "2.5", "7.5", "12.5", "17.5"}


def test_sets_must_be_whole_and_tidy(tmp_path):
    root = voicebank(tmp_path)
    lost = root / "clean_testset_wav" / "p232_010.wav"
    lost.rename(root / "p232_010.wav")
    with pytest.raises(LayoutError, match=r"noisy_testset_wav/p232_010\.wav lacks its clean file"):
        VOICEBANK_DEMAND.pairs(root)
    (root / "p232_010.wav").rename(lost)
    touch(root, "clean_testset_wav/p232_011")
    with pytest.raises(LayoutError, match=r"p232_011\.wav lacks its noisy file in .*\(1 such\)"):
        VOICEBANK_DEMAND.pairs(root)
    touch(root, "noisy_testset_wav/p232_011", "noisy_testset_wav/p232_011_old")
    with pytest.raises(LayoutError, match=r"p232_011_old\.wav has no name of VoiceBank-DEMAND, su"):
        VOICEBANK_DEMAND.pairs(root)


def test_what_was_looked_for_is_said(tmp_path):
    with pytest.raises(LayoutError, match=r"there is no folder .*nowhere; check the spelling"):
        detect(tmp_path / "nowhere")
    for name in ("clean_testset_wav", "noisy_testset_wav"):
        (tmp_path / name).mkdir()  # empty: no set
    with pytest.raises(LayoutError, match="holds no known test set") as caught:
        detect(tmp_path)
    for layout in LAYOUTS:
        assert f"for {layout.name}: {layout.folders[0][0]}" in str(caught.value)


def test_other_folders_and_names_are_no_known_set(tmp_path):
    wsj0_chime3(tmp_path)
    (tmp_path / "test").rename(tmp_path / "mine")
    with pytest.raises(LayoutError, match="holds no known test set"):
        detect(tmp_path / "mine")
    touch(tmp_path / "test", "clean/p232_001_old", "noisy/p232_001_old")
    with pytest.raises(LayoutError, match="holds no known test set"):
        detect(tmp_path)


def test_layouts_have_names(tmp_path):
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    assert layout_named("voicebank-demand") is VOICEBANK_DEMAND
    assert all(layout_named(layout.name) is layout for layout in LAYOUTS)
    with pytest.raises(LayoutError, match="there is no layout 'VCTK'; known are VoiceBank-DEMAND,"):
        layout_named("VCTK")
    for layout in LAYOUTS:
        found = re.fullmatch(layout.noisy_name, layout.example)
        assert found, layout
        assert layout.clean_name.format(**found.groupdict())


def test_the_self_check_says_what_differs():
    scores = {"PESQ-WB": 1.9712, "STOI": 0.93, "LSD": 3.0}
    assert VOICEBANK_DEMAND.self_check(scores, 824) == [
        "VoiceBank-DEMAND: PESQ-WB of the noisy input 1.971, published 1.97 ± 0.02: agrees",
        "VoiceBank-DEMAND: STOI of the noisy input 0.930, published 0.921 ± 0.002: differs by "
        "+0.009",
    ]
    part = VOICEBANK_DEMAND.self_check({"SI-SDR": 8.0}, 12)
    assert part[0].endswith("12 files, 824 published; the means of a part differ")
    assert part[1].endswith(
        "SI-SDR of the noisy input 8.000, published 8.45 ± 0.1: differs by -0.45"
    )
    assert EARS_WHAM.self_check({"PESQ-WB": 1.2}, 886) == []
    one = replace(EARS_WHAM, files=0, noisy_scores={"LSD": PublishedMean(1.0, 0.1)})
    for mean, verdict in ((1.09, "agrees"), (0.91, "agrees"), (0.89, "differs by -0.11")):
        assert one.self_check({"LSD": mean}, 3)[0].endswith(verdict)


def test_measures_of_the_self_check_exist():
    from sgmse.metrics.measures import MEASURES

    names = {measure.name for measure in MEASURES}
    assert {name for layout in LAYOUTS for name in layout.noisy_scores} <= names
