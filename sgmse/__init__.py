"""sgmse: diffusions, bridges and flows that restore audio, and every solver for them.

import sgmse

enhancer = sgmse.load()
clean = enhancer(noisy, sample_rate=16000)
"""

from sgmse.enhancer import Enhancer, enhance, load

__version__ = "0.1.0"
__all__ = ["Enhancer", "__version__", "enhance", "load"]
