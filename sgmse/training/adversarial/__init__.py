"""An adversarial term: discriminators learn beside the network what its results lack.

Estimates and truths come in; the term of the loss, and what the discriminators learned, go out.
"""

from sgmse.training.adversarial.adversary import Adversarial, Adversary, results

__all__ = ["Adversarial", "Adversary", "results"]
