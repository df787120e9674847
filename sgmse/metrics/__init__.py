"""Metrics: f(reference, estimate, sample_rate) -> float, a module for each family.

Signals are one channel, arrays or tensors (CPU) of shape (samples,); what cannot be scored is a
`MetricError`. PESQ and STOI come from packages: pip install 'sgmse-toolkit[metrics]'.
"""

from sgmse.metrics.energy_ratios import si_sar, si_sdr, si_sir
from sgmse.metrics.pesq import pesq_nb, pesq_wb
from sgmse.metrics.signals import MetricError
from sgmse.metrics.stoi import estoi, stoi

__all__ = ["MetricError", "estoi", "pesq_nb", "pesq_wb", "si_sar", "si_sdr", "si_sir", "stoi"]
