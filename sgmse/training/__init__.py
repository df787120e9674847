"""Training: from a recipe to a run folder with checkpoints, and to the best average of its weights.

A recipe comes in (a YAML file, a shipped name, or a model to start from) with folders of
recordings; a folder goes out, of which a training also resumes. What others may use is named in the
stub beside this file; Lightning is imported when a training starts (the extra `train`).

    from sgmse.training import train

    folder = train("default", data="corpus", overrides=["trainer.steps=1000"])
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
