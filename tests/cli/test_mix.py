"""The command `sgmse mix`, as it is called."""

import numpy as np
import pytest
import soundfile

from sgmse.cli.main import main

RATE = 8000


@pytest.fixture
def folders(tmp_path):
    """Two recordings of speech, one silent, one of noise, and where a set may go."""
    rng = np.random.default_rng(0)
    for name, level in (("clean/a", 0.1), ("clean/b", 0.5), ("clean/mute", 0.0), ("noise/n", 0.1)):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, level * rng.uniform(-1, 1, RATE), RATE)
    return [str(tmp_path / name) for name in ("clean", "noise", "set")]


def test_makes_a_set_and_says_what_it_skipped(folders, capsys, tmp_path):
    assert main(["mix", *folders, "--snr=-5,5", "--rate", str(RATE), "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "2 mixtures, 0.0 min, of 2 recordings of speech and 1 of noise at -5, 5 dB" in out
    assert "1 recording was skipped" in out
    assert f"the set is in {tmp_path / 'set'}" in out
    assert f"sgmse: warning: skipped {tmp_path}/clean/mute.wav: silent, below -60 dB" in err
    index = (tmp_path / "set" / "index.csv").read_text().splitlines()
    assert [line.split(",")[-1] for line in index] == ["seed", "3", "3"]
    assert soundfile.info(tmp_path / "set/noisy/001.flac").samplerate == RATE


def test_options_reach_the_set(folders, capsys, tmp_path):
    options = ["--format", "wav", "--seconds", "0.5", "--shortest", "0.25", "--count", "3", "-j2"]
    assert main(["mix", *folders, *options, "--rate", "8000", "-q"]) == 0
    assert capsys.readouterr().out == ""
    files = sorted((tmp_path / "set/clean").iterdir())
    assert [file.name for file in files] == ["000.wav", "001.wav", "002.wav"]
    assert soundfile.info(files[0]).frames == RATE / 2
    assert main(["mix", *folders, "-q", "--overwrite", "--count", "1"]) == 0
    assert [file.name for file in (tmp_path / "set/clean").iterdir()] == ["000.flac"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--snr", "200"], "snr must be"),
        (["--rate", "1"], "sample_rate must lie in"),
        (["--seconds", "0.1"], "seconds must be at least"),
        (["--noises", "9"], "a.wav needs 9 other recordings of noise"),
        (["--degradations", "Clop"], "--degradations Clop: "),
        (["--degradations", "3"], "--degradations 3: 3 is no name and no table"),
        (["--degradations", "{class: Clip, level: 3}"], "--degradations {class: Clip, level: 3}: "),
    ],
)
def test_bad_values_are_one_line(folders, options, why, call, tmp_path):
    code, out, err = call("mix", *folders, *options)
    assert (code, out, len(err)) == (1, "", 1)
    assert err[0].startswith(f"sgmse: error: {why}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "noise"]


def test_an_interrupt_leaves_nothing(folders, monkeypatch, capsys, tmp_path):
    def interrupted(*_, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sgmse.data.noisy_sets.Mixer.mix", interrupted)
    assert main(["mix", *folders]) == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing was written\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "noise"]


def test_degradations_are_those_of_recipes(folders, tmp_path, capsys):
    """They happen to each mixture, unless a probability is given."""
    spoils = ["Quantise", "{class: Clip, level: [20, 20], soft: 0}"]
    assert main(["mix", *folders, "--rate", "8000", "-q", "--degradations", *spoils]) == 0
    index = (tmp_path / "set" / "index.csv").read_text().splitlines()
    assert all("Quantise + Clip" in line for line in index[1:])
    wave, _ = soundfile.read(tmp_path / "set/noisy/000.flac")
    assert (abs(wave) == abs(wave).max()).mean() > 0.3
