"""sgmse: diffusions, bridges and flows that restore audio."""

__version__ = "0.1.0"
