"""Pairs of clean and noisy recordings: found in folders, mixed into sets, cut for training.

Folders come in; out go matched pairs of files for scoring, fixed noisy sets, and batches of pairs
for training, degraded on the way. What others may use is named in the stub beside this file.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
