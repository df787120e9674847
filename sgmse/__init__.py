"""sgmse: diffusions, bridges and flows that restore audio, and every solver for them.

import sgmse

enhancer = sgmse.load()
clean = enhancer(noisy, sample_rate=16000)
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Enhancer", "__version__", "enhance", "load"]

if TYPE_CHECKING:
    from sgmse.enhancer import Enhancer, enhance, load
else:

    def __getattr__(name: str) -> Any:
        # Imported when first asked for, so that `sgmse --help` does not wait for torch.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sgmse import enhancer

        return getattr(enhancer, name)
