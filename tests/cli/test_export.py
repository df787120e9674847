"""`sgmse export`: a line for a file, a line for what has none."""

import re

import pytest

pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")


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
        (["refine", "a.onnx"], "the model has two networks: export each, --part predictor"),
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
