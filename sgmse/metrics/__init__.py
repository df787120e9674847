"""Metrics: f(reference, estimate, sample_rate) -> float, a module for each family.

Signals are one channel, arrays or tensors (CPU) of shape (samples,); what cannot be scored is a
`MetricError`. Those of the estimate alone are f(estimate, sample_rate); `composite` and `dnsmos`
give several scores at once, as named tuples.

PESQ, STOI and the composite measures need packages: pip install 'sgmse-toolkit[metrics]'; DNSMOS:
'sgmse-toolkit[mos]'; DistillMOS: 'sgmse-toolkit[distillmos]'; PESQ by corrigendum 2: [pesqc2];
ViSQOL: [visqol]; phones and words: [words]; the voice of a speaker: [speaker].
"""

from sgmse.errors import MetricError
from sgmse.metrics._signals import checked
from sgmse.metrics.composite import Composite, composite, llr, segmental_snr, wss
from sgmse.metrics.energy_ratios import si_sar, si_sdr, si_sir
from sgmse.metrics.log_spectral import lsd, lsd_high
from sgmse.metrics.mos import DNSMOS, distillmos, dnsmos
from sgmse.metrics.pesq import pesq_nb, pesq_nb_c2, pesq_wb, pesq_wb_c2
from sgmse.metrics.recognition import phone_similarity, sphinx_word_errors, sphinx_words
from sgmse.metrics.speaker import speaker_similarity
from sgmse.metrics.stoi import estoi, stoi
from sgmse.metrics.visqol import visqol
from sgmse.metrics.words import Transcriber, word_error_rate

__all__ = [
    "DNSMOS",
    "Composite",
    "MetricError",
    "Transcriber",
    "checked",
    "composite",
    "distillmos",
    "dnsmos",
    "estoi",
    "llr",
    "lsd",
    "lsd_high",
    "pesq_nb",
    "pesq_nb_c2",
    "pesq_wb",
    "pesq_wb_c2",
    "phone_similarity",
    "segmental_snr",
    "si_sar",
    "si_sdr",
    "si_sir",
    "speaker_similarity",
    "sphinx_word_errors",
    "sphinx_words",
    "stoi",
    "visqol",
    "word_error_rate",
    "wss",
]
