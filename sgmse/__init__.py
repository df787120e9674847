"""Diffusions, bridges and flows that restore audio, and every solver for them.

    import sgmse

    enhancer = sgmse.load()
    clean = enhancer(noisy, sample_rate=16000)

`load` gives an `Enhancer`, `enhance` cleans one recording, and the rooms below hold the parts.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

# Its names are in the stub beside this file; each is imported when it is first asked for, so that
# `sgmse --help` does not wait for torch.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
