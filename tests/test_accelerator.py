"""On one device, without a wait for the host: solvers, processes, parametrizations, networks.

Without a GPU: `accelerator` says how. `test_cuda.py` runs on one where there is one.
"""

from contextlib import suppress

import pytest
import tiny
import torch
from accelerator import DEVICE, Waits, Watched
from conftest import PARAMETRIZATIONS, SDES, SOLVERS, together

from sgmse import compat
from sgmse._device import precision, sent
from sgmse._noise import Draws
from sgmse._pieces import Drawing, Piece
from sgmse.estimates import Data
from sgmse.live._frames import Once
from sgmse.model import ScoreModel
from sgmse.sdes import OUVE, SBVE
from sgmse.solvers import (
    LAST_START,
    AnnealedLangevin,
    Between,
    DormandPrince,
    Exponential,
    Extended,
    MeanShifted,
    PosteriorVariance,
    PredictorCorrector,
    Restart,
    Sampler,
    Uniform,
    solve,
)
from tests.networks.test_every_network import NETWORKS

#: What the lists of `conftest` have not: options of their own, and the published arithmetic.
MORE = [
    Exponential(Between(1.0, low=0.1, high=0.9)),
    Exponential(Extended()),
    Exponential(unknown=PosteriorVariance((0.1, 0.5, 1.0), (0.0, 0.1, 0.2))),
    MeanShifted(Restart()),
    PredictorCorrector(Restart(), AnnealedLangevin(0.3)),
    compat.DBIM(),
    compat.DBMSolver(),
    compat.DBMSolver(first=2, middle="time"),
    compat.DDIM(),
    compat.ERSDE(),
    compat.CorrectedReverse(),
    compat.HybridHeun(),
    compat.SBODE(),
    compat.SBSDE(),
    compat.FlowEuler(),
]
#: It looks at the device to find out whether it has arrived; `DormandPrince.ahead` says how seldom.
LOOKING = DormandPrince
ALL = [solver for solver in SOLVERS if not isinstance(solver, LOOKING)] + MORE
KINDS = [*{type(solver): solver for solver in ALL[::-1]}.values()]


def run(model: ScoreModel, solver, steps: int = 3) -> Watched:
    """Sample on the device, watched; steps that no test of a solver would skip."""
    start = 1.0 if solver.refusal(model.sde, 1.0) is None else LAST_START
    if why := solver.refusal(model.sde, start):
        pytest.skip(why)
    y = torch.zeros(2, 1, 4, 3, dtype=torch.complex64, device=DEVICE)
    grid = Uniform(steps, start=min(start, model.latest))
    with Watched() as watched:
        x = solve(model, y, solver, grid).x
    assert x.device == y.device
    return watched


def test_the_recorder_finds_what_waits():
    x, host = torch.zeros(3, device=DEVICE), torch.zeros(3)
    for waits in (
        lambda: x + host,
        lambda: host.to(DEVICE),
        lambda: x.copy_(host),
        lambda: x.cpu(),
        lambda: float(x[0]),
        lambda: bool((x > 0).any()),
        lambda: x[x > 0],
        lambda: x[torch.tensor([0, 1])],
        lambda: torch.tensor([1.0], device=DEVICE),
        lambda: x.nonzero(),
    ):
        with Watched(), pytest.raises((Waits, RuntimeError, NotImplementedError)):
            waits()
    with Watched() as watched:
        assert (x + torch.tensor(1.0) + 1).device == DEVICE
        host.to(DEVICE, non_blocking=True)
    assert watched.sent == 1


@pytest.mark.slow
@together(number=range(len(KINDS)))
def test_solvers_stay_on_the_device(number):
    """One of each class, on a process with a drift and on a bridge in turn."""
    for sde in (SBVE(), OUVE()) if number % 2 else (OUVE(), SBVE()):
        try:
            return run(ScoreModel(tiny.Pointwise(), sde, Data()), KINDS[number])
        except pytest.skip.Exception:
            pass
    pytest.fail("no process for it")


@pytest.mark.slow
@together(solver=ALL, sde=SDES)
def test_every_solver_stays_on_the_device_with_every_process(solver, sde):
    run(ScoreModel(tiny.Pointwise(), sde, Data()), solver)


@pytest.mark.slow
@together(sde=SDES)
def test_processes_stay_on_the_device(sde):
    t, z = torch.zeros(2, device=DEVICE), torch.zeros(2, 1, 4, 3, device=DEVICE)
    sde.scales(t)  # what it keeps on the device is sent once
    with Watched() as watched:
        found = [*sde.scales(t), *sde.coefficients(t), sde.log_snr(t), sde.prior(z, z)]
    assert {one.device for one in found} == {DEVICE}
    assert watched.sent == 0


@together(parametrization=PARAMETRIZATIONS)
def test_parametrizations_stay_on_the_device(parametrization):
    sde = OUVE()
    if why := parametrization.refusal(sde, 0.9):
        pytest.skip(why)
    model = ScoreModel(tiny.Pointwise(), sde, parametrization, latest=0.9)
    t, y = torch.zeros(2, device=DEVICE), torch.zeros(2, 1, 4, 3, device=DEVICE)
    with Watched() as watched:
        found = [*model(y, y, t), parametrization.target(y, y, y, t, sde)]
    assert {one.device for one in found} == {DEVICE}
    assert watched.sent == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_stay_on_the_device(name):
    case = NETWORKS[name]
    net = case.make().eval().requires_grad_(False).to(DEVICE)
    x = torch.zeros(2, 1, case.bins, 16, dtype=torch.complex64, device=DEVICE)
    y = x.expand(-1, case.observations, -1, -1)
    with Watched() as watched:
        out = net(x, y, torch.zeros(2, device=DEVICE))
    assert (out.device, out.shape, watched.sent) == (DEVICE, x.shape, 0)


def test_frames_of_a_stream_stay_on_the_device():
    once = Once(tiny.causal().model.to(DEVICE))
    y = torch.zeros(2, 1, 16, 3, dtype=torch.complex64, device=DEVICE)
    with torch.no_grad(), Watched() as watched:
        found = [once(y), once(y)]
    assert {(one.device, one.shape) for one in found} == {(DEVICE, y.shape)}
    assert watched.sent == 0


class OnDevice(Drawing):
    """Of a model without numbers, which enhancers refuse."""

    def spectrogram(self, audio):
        return self.front.forward(sent(audio, DEVICE), self.model.divisor[1])


@pytest.mark.parametrize("moved", [0.0, 0.5])
@pytest.mark.parametrize("strength", [1.0, 0.8])
def test_pieces_of_recordings_stay_on_the_device(moved, strength):
    """Their audio and their noise are sent, and come late; until the result nothing waits."""
    model = tiny.regeneration(moved=moved).to(DEVICE)
    sampler = Sampler(Exponential(eta=1.0), Uniform(3))
    drawing = OnDevice(model, tiny.FRONT, sampler, strength=strength)
    steps = []
    pieces = [
        Piece(torch.zeros(samples), delay, Draws(0, number), steps.append)
        for number, (samples, delay) in enumerate([(376, 0), (376, 4), (380, 0)])
    ]
    assert len({drawing.kind(piece) for piece in pieces}) == 1
    with torch.no_grad(), Watched() as watched:
        made = Drawing.draw.__wrapped__(drawing, pieces)  # without its inference mode
    rows = 1 if strength == 1 else 2  # what the model says, and the result
    assert [tuple(one.shape) for one in made] == [(rows, 376), (rows, 376), (rows, 380)]
    assert watched.sent == 2 + 1 + 4  # audio of two lengths, times, and noise
    assert len(steps) == 9


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("name", ["float32", "tf32", "bf16"])
def test_a_gpu_takes_tf32_only_where_it_is_asked_for(name):
    """Of the settings of torch, which there are without a GPU, too; then they are as before."""
    places = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [place.allow_tf32 for place in places]
    with suppress(KeyError), precision(torch.device("cuda"), name):
        assert [place.allow_tf32 for place in places] == [name != "float32"] * 2
        raise KeyError
    assert [place.allow_tf32 for place in places] == before


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_who_leaves_first_changes_no_products_of_others():
    """As threads of a server do, whose streams are on one GPU."""
    places = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [place.allow_tf32 for place in places]
    first, second = (precision(torch.device("cuda"), "float32") for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert [place.allow_tf32 for place in places] == [False] * 2
    second.__exit__(None, None, None)
    assert [place.allow_tf32 for place in places] == before
