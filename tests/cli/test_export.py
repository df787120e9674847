"""`sgmse export`: a line for a file, a line for what has none."""

import json
import re

import pytest
import tiny

from sgmse.checkpoints import save

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")


@pytest.mark.slow
def test_a_model_becomes_a_file(model, call, tmp_path):
    target = tmp_path / "new" / "a.onnx"
    code, out, err = call("export", str(model), str(target))
    assert (code, err) == (0, [])
    assert out.startswith(f"{model} -> {target}  (x (batch, 2, 32, frames), y (batch, 2, 32, fra")
    assert float(re.search("differs from torch by ([0-9.e-]+) at most", out)[1]) < 1e-5
    assert [path.name for path in target.parent.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["MODEL", "a.pt"], "a.pt must end in .onnx; call it a.onnx"),
        (["MODEL", "a.onnx", "--to", "openvino"], "a.onnx must end in .xml; call it a.xml"),
        (["MODEL", "a.onnx", "--part", "predictor"], "the model has no predictor"),
        (["nowhere", "a.onnx"], "no model 'nowhere'"),
        (["default", "a.onnx"], "the model has two networks: export each, --part predictor"),
    ],
)
def test_what_has_no_file_is_one_line(words, says, model, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("export", *(str(model) if word == "MODEL" else word for word in words))
    assert (code, out, len(err)) == (1, "", 1)
    assert says in err[0]
    assert list(tmp_path.iterdir()) == []


def test_runtimes_that_there_are_not_are_misuse(call, capsys):
    with pytest.raises(SystemExit):
        call("export", "default", "a.onnx", "--to", "tflite")
    assert "--to: must be one of onnx, openvino, not 'tflite'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return save(tiny.causal_checkpoint(), tmp_path_factory.mktemp("causal") / "live")


@pytest.mark.slow
def test_a_step_of_a_stream_comes_with_what_runs_it(causal, call, tmp_path):
    target = tmp_path / "web" / "step.onnx"
    words = ("export", str(causal), str(target), "--stream", "--runner", "--page")
    code, out, err = call(*words)
    assert (code, err) == (0, [])
    first, second, third = out.splitlines()
    assert first.startswith(f"{causal} -> {target}  (audio (1, 15), state (")
    assert second.endswith("runner.py: python runner.py step.onnx noisy.wav clean.wav")
    assert f"npm install --prefix {target.parent} onnxruntime-web, then python -m http" in third
    page = {"index.html", "page.js", "worker.js", "recorder.js", "model.json"}
    assert {path.name for path in target.parent.iterdir()} == {"step.onnx", "runner.py", *page}
    facts = json.loads((target.parent / "model.json").read_text())
    assert {"file": "step.onnx", "hop": "15", "kind": "stream"}.items() <= facts.items()
    target.unlink()
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert "runner.py exists already; use --overwrite" in err[0]
    assert not target.exists()
    assert call(*words, "--overwrite")[0] == 0


def test_what_runs_a_step_needs_one(model, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, says in {
        ("--page",): "--runner and --page run an ONNX step of a stream; add --stream",
        ("--stream",): "SlimUNet hears what is to come, and a step of a stream cannot",
    }.items():
        code, out, err = call("export", str(model), "a.onnx", *words)
        assert (code, out, len(err)) == (1, "", 1)
        assert says in err[0]
    assert list(tmp_path.iterdir()) == []
