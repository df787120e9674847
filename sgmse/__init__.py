"""sgmse: diffusions, bridges and flows that restore audio, and every solver for them.

import sgmse

enhancer = sgmse.load()
clean = enhancer(noisy, sample_rate=16000)
"""

import typing as _typing

__version__ = "0.1.0"
__all__ = [
    "Enhancer",
    "__version__",
    "audio",
    "checkpoints",
    "compat",
    "enhance",
    "enhancer",
    "estimates",
    "evaluation",
    "jobs",
    "likelihood",
    "load",
    "metrics",
    "model",
    "networks",
    "outputs",
    "sdes",
    "solvers",
    "streams",
    "training",
    "transforms",
]

if _typing.TYPE_CHECKING:
    from sgmse import (
        audio,
        checkpoints,
        compat,
        enhancer,
        estimates,
        evaluation,
        jobs,
        likelihood,
        metrics,
        model,
        networks,
        outputs,
        sdes,
        solvers,
        streams,
        training,
        transforms,
    )
    from sgmse.enhancer import Enhancer, enhance, load
else:

    def __getattr__(name: str) -> object:
        # Imported when first asked for, so that `sgmse --help` does not wait for torch.
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in ("Enhancer", "enhance", "load"):
            return getattr(import_module("sgmse.enhancer"), name)
        return import_module(f"sgmse.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
