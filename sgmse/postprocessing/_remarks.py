"""What there is to say of one recording and its result."""

from collections.abc import Iterable, Iterator, Sequence

from sgmse.audio import Block
from sgmse.postprocessing._clipped import Tops
from sgmse.postprocessing._content import SHORTEST, Content
from sgmse.postprocessing._upper_band import AboveBand


class Remarks:
    """Listens to a recording as it passes.

    Args:
        sample_rate: of the recording, in Hz.
        model_rate: of the model.
        upper_band: whether what lies above the band of the model is kept.
        mends: what of a recording the model restores (`Checkpoint.mends`).
    """

    def __init__(
        self, sample_rate: int, model_rate: int, *, upper_band: bool, mends: Sequence[str] = ()
    ) -> None:
        self.edge = model_rate / 2
        self.upper_band = upper_band
        self.above = AboveBand(sample_rate, self.edge)
        self.content = Content(model_rate)
        self.tops = None if "clipping" in mends else Tops()
        self.silence = 0.0  # seconds of a recording that is nothing else

    def listening(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks of the recording as they come."""
        passing = iter(blocks) if self.upper_band else self.above.passing(blocks)
        for block in passing:
            if self.tops is not None:
                self.tops.add(block)
            yield block

    def lines(self) -> list[str]:
        """What there is to say, once the recording has passed."""
        lines = self.content.remarks()
        if self.tops is not None and self.tops.clipped:
            what = "this is clipped, and stays so"
            lines.append(f"{what}; --model restore (sgmse.load('restore')) is made for it")
        if self.silence >= SHORTEST:
            lines.append(
                "this is silent, every sample is 0; check what was recorded, and from where"
            )
        if self.above.heard:
            band = f"sound above {self.edge / 1000:g} kHz is left out"
            lines.append(f"{band}; --upper-band (upper_band=True) keeps it")
        return lines
