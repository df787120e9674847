"""Averages of the weights: the moving one that is validated, and others to choose from afterwards.

Weights come in after each update, state dicts go out; snapshots of them lie in files, of which the
average of any length is made after the training (`selection`).
"""

from sgmse.training.averages.running import EMA, Averages, PowerAverages

__all__ = ["EMA", "Averages", "PowerAverages"]
