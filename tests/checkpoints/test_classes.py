from sgmse.checkpoints import CLASSES

#: Names in files that are out there: none may go, or come to mean another class.
WRITTEN = """
VE LinearVE VP CosineVP SubVP FlowMatching OUVE FOUVE OUVP CosineOU PublishedOUVP BrownianBridge
BBED SBVE SBVP StraightFlow Shifted Scaled Additive Data EDM Noise Preconditioned Score Velocity
DCUNet MagnitudePreservingUNet NCSNpp NemoNCSNpp SlimUNet Spectrogram Power Log Exponential
Multistep Singlestep UniPC PredictorCorrector Heun RungeKutta4 DormandPrince AnnealedLangevin
Langevin EulerMaruyama ReverseDiffusion InterpolatingSDE MeanShifted SBODE SBSDE
CorrectedReverse FlowEuler DDIM Uniform Polynomial Cosine LogSNR AsinhSNR Karras Fitted
DBIM HybridHeun DBMSolver
"""


def test_names_that_were_written_are_known():
    assert set(WRITTEN.split()) <= set(CLASSES)
    assert all(name == kind.__name__ for name, kind in CLASSES.items())
