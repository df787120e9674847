"""What a network says about x_t: an estimate of the clean audio and of the noise in it.

    x_t = a x0 + b y + sigma noise      holds for every `Estimate`

A parametrization reads the network's output as one quantity of this equation, and the equation
gives the others. With r = x_t - b y:

    Score       -noise / sigma          x0 = (r - sigma noise) / a
    Noise       noise                   x0 = (r - sigma noise) / a
    Data        x0                      noise = (r - a x0) / sigma
    Velocity    a' x0 + b' y + sigma' noise
    EDM         q x0 / sigma_data - p noise,      p : q = a sigma_data : sigma,  p^2 + q^2 = 1

`Data`, `EDM` and `Additive` serve every process; the others say what they cannot do in `refusal`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from typing_extensions import override

from sgmse._checks import kinds
from sgmse.errors import ArgumentError
from sgmse.sdes import SDE, expand, positive, weighted


class Estimate(NamedTuple):
    """Clean audio and noise, each shaped like x_t."""

    x0: Tensor
    noise: Tensor


class Parametrization(ABC):
    """How the output of a network becomes an `Estimate`; subclasses are frozen dataclasses.

    States x, y, x0, z and outputs are (batch, ...), real or complex; times t are (batch,).
    """

    def inputs(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is called with: the state, the observation and the time, scaled."""
        return x, y, t

    @abstractmethod
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        """The estimate that an output stands for, at the state x and the times t in (0, 1]."""

    def clean(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Tensor:
        """x0 of `estimate`, for those who do not ask for the noise."""
        return self.estimate(output, x, y, t, sde).x0

    @abstractmethod
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        """The output for which `estimate` gives (x0, z) at x_t = a x0 + b y + sigma z."""

    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        """Why there is no estimate at all times up to `latest`, with the remedy; None if so."""
        return None

    @property
    def data_size(self) -> float | None:
        """What observation and output are divided by where an output estimates x0 from y alone.

        None if no output does. A predictor, divided so, is a start for such a network
        (`Network.imitate`).
        """
        return None


REMEDY = "use a parametrization that estimates the data, such as Data()"


def divides_by_a(parametrization: Parametrization, sde: SDE, latest: float) -> str | None:
    """The refusal of a parametrization that cannot tell x0 where nothing is left of it."""
    if sde.scales(torch.tensor([latest], dtype=torch.float64)).a > 0:
        return None
    return f"{parametrization} divides by a(t), and {sde} has a({latest:g}) = 0; {REMEDY}"


def check_choices(owner: Parametrization) -> None:
    """Refuse values of `Literal` fields that are none of theirs, by name."""
    for field, hint in get_type_hints(type(owner)).items():
        value = getattr(owner, field)
        if get_origin(hint) is Literal and value not in get_args(hint):
            known = ", ".join(map(repr, get_args(hint)))
            raise ArgumentError(f"{type(owner).__name__}: {field} must be {known}, not {value!r}")


@dataclass(frozen=True)
class Noise(Parametrization):
    """output = noise."""

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = sde.scales(t)
        return Estimate(weighted((1 / a, x), (-b / a, y), (-sigma / a, output)), output)

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        return z

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        return divides_by_a(self, sde, latest)


Scaling = Literal["1", "1/sigma", "1/t"]


def scale_of(scaling: Scaling, sigma: Tensor, t: Tensor) -> Tensor:
    """The factor on a network's output, shaped like t."""
    return {"1": torch.ones_like(t), "1/sigma": 1 / sigma, "1/t": 1 / t}[scaling]


@dataclass(frozen=True)
class Score(Parametrization):
    """sign * scaling * output = score,   score = -noise / sigma.

    Args:
        sign: -1 for the published networks `ncsnpp`, `ncsnpp_48k` and `dcunet`.
        scaling: what the network leaves out of the score: "1", "1/sigma", with which its output is
            of unit size, or "1/t" (Richter et al. 2024, arXiv:2409.10753).
    """

    sign: int = 1
    scaling: Scaling = "1"

    def __post_init__(self) -> None:
        kinds(self)
        if self.sign not in (-1, 1):
            raise ArgumentError(f"Score: sign must be 1 or -1, not {self.sign}")
        check_choices(self)

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = sde.scales(t)
        noise = expand(-self.sign * sigma * scale_of(self.scaling, sigma, t), x) * output
        return Estimate(weighted((1 / a, x), (-b / a, y), (-sigma / a, noise)), noise)

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        sigma = sde.scales(t).sigma
        return -self.sign * z / expand(sigma * scale_of(self.scaling, sigma, t), z)

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        return divides_by_a(self, sde, latest)


@dataclass(frozen=True)
class Data(Parametrization):
    """output = x0.  Where sigma = 0 there is no noise to estimate, and it is 0."""

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = sde.scales(t)
        share = inverse(sigma)
        return Estimate(output, weighted((share, x), (-share * a, output), (-share * b, y)))

    @override
    def clean(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Tensor:
        return output

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        return x0

    @property
    @override
    def data_size(self) -> float:
        return 1.0


def inverse(sigma: Tensor) -> Tensor:
    """1 / sigma, and 0 where sigma = 0."""
    return torch.where(sigma > 0, 1 / sigma, 0.0)


@dataclass(frozen=True)
class Velocity(Parametrization):
    """output = v = a' x0 + b' y + sigma' noise, the velocity of the probability flow.

    With the equation of x_t it is two equations for two unknowns. For r = x_t - b y, w = v - b' y:

        x0 = (sigma' r - sigma w) / D,   noise = (a w - a' r) / D,   D = a sigma' - a' sigma

    D is positive where the process adds noise, g^2 = 2 sigma D / a, also where a = 0. For a =
    cos(pi t / 2), sigma = sin(pi t / 2) the output is pi / 2 times the v of Salimans and Ho 2022
    (arXiv:2202.00512); for a = 1 - t, sigma = t it is z - x0, the velocity of flow matching (Lipman
    et al. 2023, arXiv:2210.02747).
    """

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = sde.scales(t)
        da, db, dsigma = sde.rates(t)
        d = a * dsigma - da * sigma
        r, w = x - expand(b, x) * y, output - expand(db, x) * y
        return Estimate(
            weighted((dsigma / d, r), (-sigma / d, w)), weighted((a / d, w), (-da / d, r))
        )

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        da, db, dsigma = (expand(s, z) for s in sde.rates(t))
        return da * x0 + db * y + dsigma * z

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        t = torch.linspace(0, latest, 129, dtype=torch.float64)[1:]
        a, _, sigma = sde.scales(t)
        da, db, dsigma = sde.rates(t)
        rise, fall = a * dsigma, da * sigma
        infinite = ~(da.isfinite() & db.isfinite() & dsigma.isfinite())
        # A difference below half the digits says nothing about x0 and noise.
        still = rise - fall <= 1e-8 * (rise.abs() + fall.abs())
        if infinite.any():
            return f"{self}: it is infinite at t = {float(t[infinite][0]):g} of {sde}; {REMEDY}"
        if still.any():
            return (
                f"{self}: x0 and noise cannot be told from it at t = {float(t[still][0]):g} of "
                f"{sde}, where a sigma' = a' sigma; {REMEDY}"
            )
        return None


@dataclass(frozen=True)
class EDM(Parametrization):
    """Preconditioning by the noise level (Karras et al. 2022, arXiv:2206.00364, eq. 7, table 1).

    On x^ = (x_t - b y) / a, which is x0 with noise of level s = sigma / a,

        x0 = c_skip x^ + c_out F(c_in x^, y / sigma_data, time)
        c_skip = sigma_data^2 / (s^2 + sigma_data^2),   c_in = 1 / sqrt(s^2 + sigma_data^2),
        c_out = s sigma_data / sqrt(s^2 + sigma_data^2)

    so that input and target of the network F are of unit size at every level. Multiplied out,
    nothing divides by a or sigma: the output turns with the input by an angle,

        n = sqrt(sigma^2 + a^2 sigma_data^2),   p = a sigma_data / n,   q = sigma / n,
        c_in x^ = (x_t - b y) / n = p x0 / sigma_data + q noise =: u,
        x0 = sigma_data (p u + q F),   noise = q u - p F.

    At a pinned end n = 0; there u = 0, p = 0 and q = 1 as in the limit: the output alone is x0.

    The observation is a recording like the data and scaled like it. The time is s^(1/4), limited to
    [e^-5, e^5]: it is positive and finite also where s is 0 or infinite, and its logarithm, which
    some networks embed in place of the time, is Karras' c_noise = ln(s) / 4.

    Where the observation is near the data, as what a predictor makes of it is, most of x0 is known,
    and the rest is what is to be learnt: x0 = y + r (Mardani et al. 2023, arXiv:2309.15214). Then
    r, of size sigma_data, takes the place of x0 in all of the above, and x^ - y = r + s noise that
    of x^; the observation, which is of another size, is left as it is. A network that says nothing,
    F = 0, is exact for a normal r.

    Args:
        sigma_data: sqrt(E|x0|^2) over the points of the data, of the compressed spectrogram; of
            x0 - y, if residual.
        residual: whether the network estimates x0 - y.
    """

    sigma_data: float = 0.1
    residual: bool = False

    def __post_init__(self) -> None:
        kinds(self)
        positive(self, sigma_data=self.sigma_data)

    @override
    def inputs(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        time = (-sde.log_snr(t) / 4).clamp(-5, 5).exp()
        return self.unit(x, y, t, sde)[0], y if self.residual else (1 / self.sigma_data) * y, time

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        u, p, q = self.unit(x, y, t, sde)
        x0 = self.sigma_data * p * u + self.sigma_data * q * output
        return Estimate(y + x0 if self.residual else x0, q * u - p * output)

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        _, p, q = self.unit(x0, y, t, sde)
        return q / self.sigma_data * (x0 - y if self.residual else x0) - p * z

    @property
    @override
    def data_size(self) -> float | None:
        """sigma_data: x0 = sigma_data (p u + q F) is then the estimate of y and, with the less
        noise, the state, p^2 + q^2 = 1. A residual is none."""
        return None if self.residual else self.sigma_data

    def unit(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        """u, and p and q shaped to multiply it."""
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        n = torch.hypot(sigma, a * self.sigma_data)
        scale = inverse(n)
        p, q = a * self.sigma_data * scale, torch.where(n > 0, sigma * scale, 1.0)
        return scale * (x - (a + b if self.residual else b) * y), p, q


@dataclass(frozen=True)
class Preconditioned(Parametrization):
    """The preconditioning of the published code (Richter et al. 2024, arXiv:2409.10753).

    It scales x_t itself, with sigma in place of sigma / a, unlike `EDM`, which removes a and b:

        value = c_skip x_t + c_out scaling F(c_in x_t, c_in y, t)

        edm:  c_skip = sigma_data^2 / n^2,  c_out = sigma sigma_data / n,  c_in = 1 / n,
              n = sqrt(sigma^2 + sigma_data^2)

    The published `denoiser` takes no notice of its c_out and c_skip: leave them at "1" and "0". At
    a pinned end sigma = 0, where c_out = "edm" or "sigma" does not hear the network: x0 is x_t.

    Args:
        of: what the value is: "score", "mean", which is a x0 + b y, or "data", which is x0; their
            published names are score_matching, denoiser and data_prediction.
        c_in, c_out, c_skip, scaling: by their published names, `scaling` being network_scaling.
        sigma_data: of the coefficients "edm".
    """

    of: Literal["score", "mean", "data"] = "score"
    c_in: Literal["1", "edm"] = "1"
    c_out: Literal["1", "sigma", "1/sigma", "edm"] = "1"
    c_skip: Literal["0", "edm"] = "0"
    scaling: Scaling = "1"
    sigma_data: float = 0.1

    def __post_init__(self) -> None:
        kinds(self)
        check_choices(self)
        positive(self, sigma_data=self.sigma_data)

    @override
    def inputs(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        if self.c_in == "1":
            return x, y, t
        scale = expand(1 / self.size(self.level(t, sde)), x)
        return scale * x, scale * y, t

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        skip, out = (expand(c, x) for c in self.coefficients(t, sde))
        value = out * output if self.c_skip == "0" else skip * x + out * output
        if self.of == "data":
            return Estimate(value, inverse(sigma) * (x - a * value - b * y))
        if self.of == "mean":
            return Estimate((1 / a) * (value - b * y), inverse(sigma) * (x - value))
        noise = -sigma * value
        return Estimate((1 / a) * (x - b * y - sigma * noise), noise)

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        a, b, sigma = (expand(s, x0) for s in sde.scales(t))
        skip, out = (expand(c, x0) for c in self.coefficients(t, sde))
        mean = a * x0 + b * y
        value = {"score": -z / sigma, "mean": mean, "data": x0}[self.of]
        return (value - skip * (mean + sigma * z)) / out

    @override
    def refusal(self, sde: SDE, latest: float = 1.0) -> str | None:
        if self.of != "data":
            return divides_by_a(self, sde, latest)
        silent = sde.scales(torch.tensor([latest], dtype=torch.float64)).sigma == 0
        if silent and "1/sigma" in (self.c_out, self.scaling):
            return f"{self} divides by sigma(t), and {sde} has sigma({latest:g}) = 0; {REMEDY}"
        return None

    def level(self, t: Tensor, sde: SDE) -> Tensor:
        """The sigma of the coefficients, (batch,)."""
        return sde.scales(t).sigma

    def coefficients(self, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor]:
        """c_skip and c_out scaling, each (batch,)."""
        sigma, sigma_data = self.level(t, sde), self.sigma_data
        n = self.size(sigma)
        skip = (sigma_data / n) ** 2 if self.c_skip == "edm" else torch.zeros_like(t)
        out = {
            "1": torch.ones_like(t),
            "sigma": sigma,
            "1/sigma": 1 / sigma,
            "edm": sigma * sigma_data / n,
        }[self.c_out]
        return skip, out * scale_of(self.scaling, sigma, t)

    def size(self, sigma: Tensor) -> Tensor:
        """sqrt(sigma^2 + sigma_data^2)."""
        return torch.hypot(sigma, torch.full_like(sigma, self.sigma_data))


@dataclass(frozen=True)
class Additive(Parametrization):
    """Preconditioning for additive noise, y = x0 + n (Richter et al. 2026, arXiv:2505.05216).

    Let each part of x0, n and z, real or imaginary, be independent, and tau = sigma / sqrt 2. Then

        v = (a + b)^2 sigma_x^2 + b^2 sigma_n^2 + tau^2          is the variance of x_t,
        w = (1 - a - b)^2 sigma_x^2 + b^2 sigma_n^2 + tau^2      that of x0 - x_t,

        x0 = x_t + sqrt(w) F(x_t / v, y / v(1), time)            for of = "noise",
        x0 = sigma_x F(x_t / v, y / v(1), time)                  for of = "data".

    The time is tau^(1/4): its logarithm is the published c_noise = ln(tau) / 4. That the inputs are
    divided by v, not by its root, is as published; y is scaled like x_1, which a bridge ends in.

    Args:
        of: what the network estimates: what is to be taken from x_t, or x0 itself.
        sigma_x, sigma_n: deviations of a part of x0 and of n, of the compressed spectrograms.
        floor: of tau in the time, which is 0 at a pinned end; published is 1e-4.
    """

    of: Literal["noise", "data"] = "noise"
    sigma_x: float = 0.402
    sigma_n: float = 0.342
    floor: float = 1e-4

    def __post_init__(self) -> None:
        kinds(self)
        check_choices(self)
        positive(self, sigma_x=self.sigma_x, sigma_n=self.sigma_n, floor=self.floor)

    @override
    def inputs(self, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> tuple[Tensor, Tensor, Tensor]:
        tau = sde.scales(t).sigma / 2**0.5
        v, end = (self.variance(time, sde, 0.0) for time in (t, torch.ones_like(t)))
        return expand(1 / v, x) * x, expand(1 / end, y) * y, tau.clamp(min=self.floor) ** 0.25

    @override
    def estimate(self, output: Tensor, x: Tensor, y: Tensor, t: Tensor, sde: SDE) -> Estimate:
        a, b, sigma = (expand(s, x) for s in sde.scales(t))
        if self.of == "data":
            x0 = self.sigma_x * output
        else:
            x0 = x + expand(self.variance(t, sde, 1.0).sqrt(), x) * output
        return Estimate(x0, inverse(sigma) * (x - a * x0 - b * y))

    @override
    def target(self, x0: Tensor, y: Tensor, z: Tensor, t: Tensor, sde: SDE) -> Tensor:
        if self.of == "data":
            return x0 / self.sigma_x
        return (x0 - sde.sample(x0, y, t, z)) / expand(self.variance(t, sde, 1.0).sqrt(), x0)

    def variance(self, t: Tensor, sde: SDE, share: float) -> Tensor:
        """Of a part of share x0 - x_t, (batch,): v for the share 0, w for 1."""
        a, b, sigma = sde.scales(t)
        speech, rest = (share - a - b) * self.sigma_x, b * self.sigma_n
        return speech**2 + rest**2 + sigma**2 / 2
