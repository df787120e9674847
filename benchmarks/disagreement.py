"""Where samples disagree, and where they err: python benchmarks/disagreement.py CORPUS

Enhances recordings of CORPUS/valid COUNT times each with a score model, by noise of other seeds,
and compares the deviation of these samples in every bin of the spectrogram with the error of their
mean there, |mean - clean|. If the samples are those of the posterior, the mean square error is the
variance times 1 + 1 / COUNT; the ranks of both say where to be careful whatever their scale. A loud
bin has larger errors than a quiet one, so that the level of the mean alone predicts some of them:
it is the control. Writes benchmarks/results/disagreement.md and .json: both for each recording, and
for bins in ten groups of equally many by their deviation.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from writing import arguments, paragraph, write

import sgmse
from sgmse import audio
from sgmse.inference import ensemble
from sgmse.report.text import markdown_table
from sgmse.scoring.intervals import interval
from sgmse.solvers import Exponential, LogSNR, Sampler

COUNT = 8
GROUPS = 10
EVERY = 5  # of the recordings of valid: 12
SECONDS = 4
#: Of few steps a result is near the mean of the posterior; this many spread over it.
SAMPLER = Sampler(Exponential(eta=1.0), LogSNR(8, start=1.0, end=0.02))
PAGE = """# Where samples disagree, and where they are wrong

Made by `python benchmarks/disagreement.py CORPUS`.

{about}

{samples} samples of {files} recordings of the validation set, each of its first {seconds} s, by
{sampler}. The rank correlation with the error of the mean, over the bins of a recording (mean over
recordings with a 95 % interval):

{ranks}

The bins of all recordings by their deviation; root mean squares of the compressed spectrogram:

{groups}

The root of the mean square error is {ratio:.2f} times what the deviation would make it if the
samples were those of the posterior ({low:.2f} to {high:.2f}): {verdict}
"""
Values = NDArray[np.floating]


def bins(model: sgmse.Enhancer, clean: Path, noisy: Path) -> tuple[Values, Values, Values]:
    """Deviation, error and level in each bin of a recording."""
    (x, about), (y, _) = audio.read(clean), audio.read(noisy)
    peak = np.abs(y).max()  # as an enhancer scales a recording
    x0, observed = (
        model.spectrogram(torch.from_numpy(each[:1, : SECONDS * about.sample_rate] / peak).float())
        for each in (x, y)
    )
    sampler = SAMPLER
    process, anchor = model.model.observe(observed)
    drawn = ensemble(process, anchor, sampler.solver, sampler.grid, COUNT, batch=COUNT)
    error = (drawn.mean - x0).abs()
    found = (drawn.std, error, drawn.mean.abs())
    deviation, wrong, level = (values[0, 0].numpy().ravel() for values in found)
    return deviation, wrong, level


def main() -> None:
    parser = arguments(__doc__, "valid/clean and valid/noisy")
    parser.add_argument("--model", default="score", help="a score model (default: score)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = sgmse.load(options.model)
    root = options.corpus / "valid"
    names = sorted(path.name for path in (root / "clean").iterdir())[::EVERY]
    with torch.inference_mode():
        found = [bins(model, root / "clean" / name, root / "noisy" / name) for name in names]
    ranks = {
        "deviation of the samples": [float(spearmanr(d, e).statistic) for d, e, _ in found],
        "level of the mean": [float(spearmanr(m, e).statistic) for _, e, m in found],
    }
    share = 1 + 1 / COUNT
    ratios = [float(np.sqrt((e**2).mean() / ((d**2).mean() * share))) for d, e, _ in found]
    deviation, error = (np.concatenate([row[i] for row in found]) for i in range(2))
    order = np.array_split(np.argsort(deviation), GROUPS)
    groups = [
        [float(np.sqrt((values[group] ** 2).mean())) for values in (deviation, error)]
        for group in order
    ]
    known = interval(ratios)
    verdict = "within the interval it is as large as it should be."
    if known.low > 1:
        verdict = "samples are nearer to each other than to the truth, and say too little."
    elif known.high < 1:
        verdict = "samples are further from each other than from the truth, and say too much."
    rows = [
        [name, f"{own.mean:.3f}", f"{own.low:.3f} to {own.high:.3f}"]
        for name, own in ((name, interval(values)) for name, values in ranks.items())
    ]
    tenths = [
        [f"{i + 1}", f"{d:.4f}", f"{e:.4f}", f"{e / (d * share**0.5):.2f}"]
        for i, (d, e) in enumerate(groups)
    ]
    page = PAGE.format(
        about=paragraph(__doc__, 1),
        samples=COUNT,
        files=len(names),
        seconds=SECONDS,
        sampler=f"`{SAMPLER.solver}` on `{SAMPLER.grid}`",
        ranks=markdown_table(["", "rank correlation", "interval"], rows),
        groups=markdown_table(["tenth", "deviation", "error of the mean", "ratio"], tenths),
        ratio=known.mean,
        low=known.low,
        high=known.high,
        verdict=verdict,
    )
    numbers = {"names": names, "ranks": ranks, "ratios": ratios, "groups": groups}
    write(options.output, "disagreement", page, numbers)


if __name__ == "__main__":
    main()
