"""What the readers of published checkpoints share: settings, weights and their averages.

Errors name what is wrong in the file but not the file, whose name `published.read` puts before.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from sgmse.checkpoints.published.pickles import mapping
from sgmse.errors import CheckpointError
from sgmse.networks.base import Network

__all__ = [
    "IGNORED",
    "Settings",
    "averaged",
    "built",
    "fill",
    "load_weights",
    "only",
    "plain",
    "table",
]

#: Parts of the training that are saved beside the networks.
IGNORED = ("pesq_loss.",)

T = TypeVar("T")
N = TypeVar("N", bound=Network)


def table(contents: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """The dictionary under that name: "state_dict", "hyper_parameters"."""
    value = mapping(contents.get(name))
    if value is None:
        raise CheckpointError(f"it has no {name}")
    return {str(key): item for key, item in value.items() if isinstance(key, str)}


class Settings:
    """The settings of a published model, which notes those that were asked for.

    Args:
        values: of the file, by their published names; those of types that cannot be settings (the
            class of the data) are never asked for.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.taken: set[str] = set()

    def take(
        self,
        name: str,
        default: T,
        kind: type | None = None,
        *,
        choices: Sequence[T] = (),
        most: float = 2**20,
    ) -> T:
        """The value of a setting, or the default where the file does not have it.

        A default that is a tuple takes a list of numbers like its first. None is a value where the
        default is None. Whole numbers serve as floats.

        Args:
            name: published name.
            default: of the published code; its type is that of the setting.
            kind: its type, where the default is None.
            choices: the values that there are.
            most: the largest number; a file must not ask for a network without end.

        Raises:
            CheckpointError: a value of another type, not finite, far too large, or none of those.
        """
        self.taken.add(name)
        value: Any = self.values.get(name, default)
        if value is default:
            return default
        if isinstance(default, tuple):
            kind = type(default[0]) if default else int
            if not isinstance(value, list | tuple) or len(value) > 64:
                raise CheckpointError(f"its {name} is {_said(value)}, not a list of numbers")
            value = tuple(_typed(name, item, kind, most) for item in value)
        elif not (value is None and default is None):
            value = _typed(name, value, kind or type(default), most)
        if choices and value not in choices:
            known = ", ".join(map(repr, choices))
            raise CheckpointError(f"its {name} is {_said(value)}; known are {known}")
        return value

    def rest(self) -> dict[str, Any]:
        """The plain values that were not asked for."""
        return {
            name: value
            for name, value in self.values.items()
            if name not in self.taken and plain(value)
        }


def _typed(name: str, value: Any, kind: type, most: float) -> Any:
    if kind is float and type(value) is int and plain(value):
        value = float(value)
    if type(value) is not kind:
        raise CheckpointError(f"its {name} is {_said(value)}, not a {kind.__name__}")
    if isinstance(value, int | float) and not abs(value) <= most:  # nor that of nan
        raise CheckpointError(f"its {name} is {_said(value)}, which is too large")
    return value


def _said(value: Any) -> str:
    """A value in an error: those that are not plain by their type alone."""
    scalar = isinstance(value, str | float) or plain(value)
    return f"{value!r:.60}" if scalar and not isinstance(value, list | tuple) else _type(value)


def _type(value: Any) -> str:
    return f"a {type(value).__name__}"


def plain(value: Any) -> bool:
    """Whether a value can stand in a config: a number, a short text, None, a short list of them."""
    match value:
        case None | bool():
            return True
        case str():
            return len(value) <= 200
        case int():
            return abs(value) < 2**53
        case float():
            return isfinite(value)
        case list() | tuple():
            flat = not any(isinstance(item, list | tuple) for item in value)
            return flat and len(value) <= 64 and all(map(plain, value))
    return False


DRAWS = {Tensor.uniform_, Tensor.normal_, init.uniform_, init.normal_, init.kaiming_uniform_}


class Undrawn(TorchFunctionMode):
    """Random numbers are left out: what would hold them is whatever the memory holds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func in DRAWS:
            return named.get("tensor", args[0] if args else None)
        return (torch.empty if func in (torch.randn, torch.rand) else func)(*args, **named)


def built(make: Callable[[], N]) -> N:
    """A network whose weights are not drawn: its memory is not touched until they are known.

    Nor does it change the state of the random numbers. (On the meta device, a first network takes
    more than a second.)

    Raises:
        CheckpointError: a network of that size finds no memory.
    """
    try:
        with Undrawn():
            return make()
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError("its settings ask for a network beyond this machine") from error


def load_weights(
    network: Network, contents: Mapping[Any, Any], keys: Mapping[str, str], prefix: str
) -> None:
    """Give a network that is the only one of a file its averaged weights.

    Args:
        network: of the right sizes.
        contents: of the file: the weights under "state_dict", the averages under "ema".
        keys: the published key of each of our keys.
        prefix: of the published keys in the file.
    """
    state = table(contents, "state_dict")
    trained = {prefix + keys[name]: p.requires_grad for name, p in network.named_parameters()}
    fill(network, averaged(contents, trained), keys, prefix)
    only(state, [prefix])


def averaged(contents: Mapping[Any, Any], trained: Mapping[str, bool]) -> dict[str, Any]:
    """The state_dict with the moving averages in place of the parameters, where there are any.

    `torch_ema` saves them as a list without names, "shadow_params" of "ema", in the order of the
    parameters, which is that of the state_dict. It has all parameters, or only those that are
    trained: then the others, the frozen frequencies of the time embedding, stay as they are.

    Args:
        contents: of the file.
        trained: the parameters by their names in the file, and whether each is trained.
    """
    state = table(contents, "state_dict")
    ema = mapping(contents.get("ema"))
    if ema is None:
        return state
    shadow = ema.get("shadow_params")
    names = [name for name in state if name in trained]
    free = [name for name in names if trained[name]]
    if len(names) < len(trained) or not isinstance(shadow, list):
        return state if shadow is None else _missing(trained, state)
    if len(shadow) not in (len(names), len(free)):
        raise CheckpointError(
            f"its ema has {len(shadow)} weights, and the model has {len(names)} parameters, "
            f"{len(free)} of them trained"
        )
    chosen = names if len(shadow) == len(names) else free
    for name, value in zip(chosen, shadow, strict=True):
        if not isinstance(value, Tensor) or value.shape != getattr(state[name], "shape", None):
            raise CheckpointError(f"its ema does not fit: the weight of {name} has another shape")
    return state | dict(zip(chosen, shadow, strict=True))


def _missing(names: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    raise CheckpointError(f"its state_dict lacks {_few([n for n in names if n not in state])}")


def fill(
    network: Network, state: Mapping[str, Any], keys: Mapping[str, str], prefix: str = ""
) -> None:
    """Give a network copies of its weights, in the precision of the network.

    Args:
        network: of the right sizes.
        state: weights by their names in the file.
        keys: the published key of each of our keys.
        prefix: of the published keys in the file; keys with it that are none of these are refused.
            Without a prefix those of `IGNORED` may be there.

    Raises:
        CheckpointError: names the keys that are missing, that are odd or do not fit.
    """
    own = network.state_dict()
    wanted = {name: prefix + key for name, key in keys.items()}
    if missing := [key for key in wanted.values() if key not in state]:
        raise CheckpointError(f"its state_dict lacks {_few(missing)}")
    known = set(wanted.values())
    odd = [key for key in state if key.startswith(prefix) and key not in known]
    if odd := [key for key in odd if not key.startswith(IGNORED)]:
        raise CheckpointError(f"its state_dict has unknown keys: {_few(odd)}")
    values = {}
    for name, key in wanted.items():
        value = state[key]
        if not isinstance(value, Tensor) or value.shape != own[name].shape:
            has = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise CheckpointError(
                f"its {key} is {has}, and its settings ask for {list(own[name].shape)}"
            )
        values[name] = value.to(own[name].dtype, copy=True, memory_format=torch.contiguous_format)
        if value.is_floating_point() and not values[name].isfinite().all():
            raise CheckpointError(f"its {key} has numbers that are not finite")
    network.load_state_dict(values, assign=True)


def only(state: Mapping[str, Any], prefixes: Sequence[str]) -> None:
    """Refuse a state_dict with keys under other prefixes than these and those of `IGNORED`."""
    known = (*prefixes, *IGNORED)
    if odd := [key for key in state if not key.startswith(known)]:
        raise CheckpointError(f"its state_dict has unknown keys: {_few(odd)}")


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
