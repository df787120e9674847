"""What there is to say of one recording and its result."""

from collections.abc import Iterable, Iterator

from sgmse.audio import Block
from sgmse.postprocessing._content import SHORTEST, Content
from sgmse.postprocessing._upper_band import AboveBand


class Remarks:
    """Listens to a recording as it passes.

    Args:
        sample_rate: of the recording, in Hz.
        model_rate: of the model.
        upper_band: whether what lies above the band of the model is kept.
    """

    def __init__(self, sample_rate: int, model_rate: int, *, upper_band: bool) -> None:
        self.edge = model_rate / 2
        self.upper_band = upper_band
        self.above = AboveBand(sample_rate, self.edge)
        self.content = Content(model_rate)
        self.silence = 0.0  # seconds of a recording that is nothing else

    def listening(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks of the recording as they come."""
        return iter(blocks) if self.upper_band else self.above.passing(blocks)

    def lines(self) -> list[str]:
        """What there is to say, once the recording has passed."""
        lines = self.content.remarks()
        if self.silence >= SHORTEST:
            lines.append(
                "this is silent, every sample is 0; check what was recorded, and from where"
            )
        if self.above.heard:
            band = f"sound above {self.edge / 1000:g} kHz is left out"
            lines.append(f"{band}; --upper-band (upper_band=True) keeps it")
        return lines
