"""The literal table of the classes that a checkpoint may name; recipes and suites extend it."""

from sgmse import compat, estimates, networks, sdes, solvers, transforms
from sgmse.config import Classes

CLASSES: Classes = {
    c.__name__: c
    for c in (
        *(sdes.VE, sdes.LinearVE, sdes.VP, sdes.CosineVP, sdes.SubVP, sdes.FlowMatching),
        *(sdes.OUVE, sdes.FOUVE, sdes.OUVP, sdes.CosineOU, compat.PublishedOUVP),
        *(sdes.BrownianBridge, sdes.BBED, sdes.SBVE, sdes.SBVP),
        *(sdes.StraightFlow, sdes.Shifted, sdes.Scaled),
        *(estimates.Additive, estimates.Data, estimates.EDM, estimates.Noise),
        *(estimates.Preconditioned, estimates.Score, estimates.Velocity),
        *(networks.DCUNet, networks.MagnitudePreservingUNet, networks.NCSNpp),
        *(networks.NemoNCSNpp, networks.SlimUNet),
        *(transforms.Spectrogram, transforms.Power, transforms.Log),
        *(solvers.Exponential, solvers.Multistep, solvers.Singlestep, solvers.UniPC),
        *(solvers.PredictorCorrector, solvers.Heun, solvers.RungeKutta4, solvers.DormandPrince),
        *(solvers.AnnealedLangevin, solvers.Langevin, solvers.EulerMaruyama),
        *(solvers.ReverseDiffusion, solvers.InterpolatingSDE, solvers.MeanShifted),
        *(compat.SBODE, compat.SBSDE, compat.CorrectedReverse, compat.FlowEuler),
        *(solvers.Uniform, solvers.Polynomial, solvers.Cosine, solvers.LogSNR),
        *(solvers.AsinhSNR, solvers.Karras, solvers.Fitted),
    )
}
