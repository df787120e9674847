"""What the published package does with a checkpoint: run by parity_official.py in its environment.

    python published_enhance.py FOLDER

FOLDER has job.json (the arguments of the published ScoreModel, and how to sample) and noisy.npy. It
gets model.ckpt, with random weights, published.npy, the enhanced recording, and published.json. The
package is not ours: it imports as `sgmse`, and this file imports nothing of this repository.
"""

import json
import os
import sys
import time
import types
from pathlib import Path

import numpy as np

# Triton and a compiled operator are asked for at import, on machines without a GPU too.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
try:
    import torchaudio  # noqa: F401
except OSError:  # built for CUDA, beside a torch that is not; of it only `load` is named here
    for name in [name for name in sys.modules if name.startswith("torchaudio")]:
        del sys.modules[name]
    stub = types.ModuleType("torchaudio")
    stub.load = None
    transforms = types.ModuleType("torch_pesq")
    transforms.PesqLoss = None  # it needs torchaudio, and belongs to a loss
    sys.modules |= {"torchaudio": stub, "torch_pesq": transforms}

import torch
from sgmse.data_module import SpecsDataModule
from sgmse.model import ScoreModel
from sgmse.util.other import pad_spec


class Draws:
    """The noise of our enhancer for one segment and seed 0, in the order of the draws."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, like: torch.Tensor, **_: object) -> torch.Tensor:
        """CN(0, 1) noise like a complex (1, 1, frequency, frame) tensor."""
        generator = np.random.default_rng([0, 0, self.count])
        self.count += 1
        frequencies, frames = like.shape[-2:]
        z = generator.standard_normal((frames, frequencies, 2), dtype=np.float32)
        noise = torch.view_as_complex(torch.from_numpy(z)).T / 2**0.5
        return noise.to(like.dtype).expand_as(like)


def random_model(arguments: dict) -> ScoreModel:
    """A model with weights with which every layer matters, and averages that are others."""
    torch.manual_seed(0)
    model = ScoreModel(data_module_cls=SpecsDataModule, base_dir="", **arguments)
    with torch.no_grad():
        for parameter in model.dnn.parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                torch.nn.init.xavier_uniform_(parameter)
            elif parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        parameters = list(model.parameters())
        if len(model.ema.shadow_params) < len(parameters):  # as older versions of torch_ema do it
            parameters = [parameter for parameter in parameters if parameter.requires_grad]
        for average, parameter in zip(model.ema.shadow_params, parameters, strict=True):
            average.copy_(1.01 * parameter if parameter.requires_grad else parameter)
    return model


def enhance(model: ScoreModel, noisy: torch.Tensor, job: dict) -> torch.Tensor:
    """The steps of the published script enhancement.py, on the CPU; noisy is (1, samples)."""
    level = noisy.abs().max()
    y = model._forward_transform(model._stft(noisy / level)).unsqueeze(0)
    y = pad_spec(y, mode=job["pad_mode"])
    if job["sampler"] == "pc":
        sampler = model.get_pc_sampler(
            "reverse_diffusion", "ald", y, N=job["steps"], corrector_steps=1, snr=0.5
        )
    else:
        sampler = model.get_sb_sampler(sde=model.sde, y=y, sampler_type=job["sampler"])
    sample, _ = sampler()
    return model.to_audio(sample.squeeze(), noisy.shape[1]) * level


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    model = random_model(job["model"])
    contents = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
    }
    model.on_save_checkpoint(contents)
    torch.save(contents, folder / "model.ckpt")
    model.eval(no_ema=False)  # the averages take the place of the weights
    noisy = torch.from_numpy(np.load(folder / "noisy.npy"))[None]
    torch.randn_like = Draws()
    with torch.no_grad():
        began = time.perf_counter()
        clean = enhance(model, noisy, job)
        seconds = time.perf_counter() - began
    np.save(folder / "published.npy", clean.squeeze().numpy())
    about = {"torch": torch.__version__, "seconds": seconds}
    (folder / "published.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main()
