"""Objects to plain dictionaries and back: what a config file, or a recipe, says about them.

    SBVE(k=2.6, c=0.4)  <->  {"class": "SBVE", "k": 2.6, "c": 0.4}

A frozen dataclass is its own configuration; a network keeps its arguments in `config`. The table
below is the only place where names in files meet classes; nothing is ever imported by name.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from sgmse.compat import SBODE, SBSDE, CorrectedReverse, FlowEuler, PublishedOUVP
from sgmse.errors import ArgumentError
from sgmse.estimates import EDM, Additive, Data, Noise, Preconditioned, Score, Velocity
from sgmse.networks import DCUNet, MagnitudePreservingUNet, NCSNpp, NemoNCSNpp, SlimUNet
from sgmse.networks.base import Network
from sgmse.sdes import (
    BBED,
    FOUVE,
    OUVE,
    OUVP,
    SBVE,
    SBVP,
    VE,
    VP,
    BrownianBridge,
    CosineOU,
    CosineVP,
    FlowMatching,
    LinearVE,
    Scaled,
    Shifted,
    StraightFlow,
    SubVP,
)
from sgmse.solvers import (
    AnnealedLangevin,
    AsinhSNR,
    Cosine,
    DormandPrince,
    EulerMaruyama,
    Exponential,
    Fitted,
    Heun,
    InterpolatingSDE,
    Karras,
    Langevin,
    LogSNR,
    MeanShifted,
    Multistep,
    Polynomial,
    PredictorCorrector,
    ReverseDiffusion,
    RungeKutta4,
    Singlestep,
    Uniform,
    UniPC,
)
from sgmse.transforms import Log, Power, Spectrogram

CLASSES: Mapping[str, type] = {
    c.__name__: c
    for c in (
        *(VE, LinearVE, VP, CosineVP, SubVP, FlowMatching),
        *(OUVE, FOUVE, OUVP, CosineOU, PublishedOUVP),
        *(BrownianBridge, BBED, SBVE, SBVP),
        *(StraightFlow, Shifted, Scaled),
        *(Additive, Data, EDM, Noise, Preconditioned, Score, Velocity),
        *(DCUNet, MagnitudePreservingUNet, NCSNpp, NemoNCSNpp, SlimUNet),
        *(Spectrogram, Power, Log),
        *(Exponential, Multistep, Singlestep, UniPC, PredictorCorrector),
        *(Heun, RungeKutta4, DormandPrince),
        *(AnnealedLangevin, Langevin, EulerMaruyama, ReverseDiffusion),
        *(InterpolatingSDE, MeanShifted, SBODE, SBSDE),
        *(CorrectedReverse, FlowEuler),
        *(Uniform, Polynomial, Cosine, LogSNR, AsinhSNR, Karras, Fitted),
    )
}


def to_dict(value: Any, classes: Mapping[str, type] = CLASSES) -> Any:
    """An object, with the objects in it, as what JSON holds.

    Raises `ValueError` for an object whose class is not in the table.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_dict(item, classes) for item in value]
    name = type(value).__name__
    if classes.get(name) is not type(value):
        raise ArgumentError(
            f"{name} is not one of the classes that a file may name; "
            f"pass classes=CLASSES | {{'{name}': {name}}} when saving and when loading"
        )
    if isinstance(value, Network):
        return {"class": name, **value.config}
    if not is_dataclass(value):
        raise ArgumentError(f"{name} is neither a network nor a dataclass and has no written form")
    settings = {f.name: to_dict(getattr(value, f.name), classes) for f in fields(value)}
    return {"class": name} | settings


def from_dict(value: Any, classes: Mapping[str, type] = CLASSES) -> Any:
    """The object that `to_dict` wrote down; lists stay lists.

    Raises `ValueError` for an unknown class and for arguments that the class does not take, or not
    with these values.
    """
    if isinstance(value, list):
        return [from_dict(item, classes) for item in value]
    if not isinstance(value, Mapping):
        return value
    arguments = {key: from_dict(item, classes) for key, item in value.items()}
    name = arguments.pop("class", None)
    if not isinstance(name, str) or name not in classes:
        raise ArgumentError(f"unknown class {name!r}; known are {', '.join(sorted(classes))}")
    known = list(signature(classes[name]).parameters)
    if odd := [key for key in arguments if key not in known]:
        raise ArgumentError(f"{name} does not take {', '.join(odd)}; it takes {', '.join(known)}")
    try:
        return classes[name](**arguments)
    except Exception as error:  # whatever a constructor makes of values it was not written for
        said = str(error) or type(error).__name__
        raise ArgumentError(said if name in said else f"{name}: {said}") from error
