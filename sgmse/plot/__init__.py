"""Pictures of recordings, processes, samplers and costs, in one house style, light or dark.

    picture = before_after("noisy.wav", "clean.wav")
    save(picture, "before_after.png")

Sounds, processes and numbers come in; figures of Matplotlib go out, which a notebook shows and
`save` writes. Nothing here touches `pyplot`, so that a program's own figures stay as they are.
"""

import lazy_loader as _lazy

# Its names are in the stub beside this file; each module is imported when one is first asked for.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
