"""The weights in a published file: networks that wait for them, and their moving averages.

Errors name what is wrong in the file but not the file, whose name `published.read` puts before.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from sgmse.checkpoints.published._settings import table
from sgmse.checkpoints.published._unpickler import mapping
from sgmse.errors import CheckpointError
from sgmse.networks import Network

#: Parts of the training that are saved beside the networks.
IGNORED = ("pesq_loss.",)

N = TypeVar("N", bound=Network)

DRAWS = {Tensor.uniform_, Tensor.normal_, init.uniform_, init.normal_, init.kaiming_uniform_}


class Undrawn(TorchFunctionMode):
    """Random numbers are left out: what would hold them is whatever the memory holds."""

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func in DRAWS:
            return named.get("tensor", args[0] if args else None)
        return (torch.empty if func in (torch.randn, torch.rand) else func)(*args, **named)


def build(make: Callable[[], N]) -> N:
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


def fill_averaged(network: Network, contents: Mapping[Any, Any], prefix: str) -> None:
    """Give a network that is the only one of a file its averaged weights.

    Args:
        network: of the right sizes.
        contents: of the file: the weights under "state_dict", the averages under "ema".
        prefix: of the published keys in the file.
    """
    keys = network.published_keys()
    trained = {prefix + keys[name]: p.requires_grad for name, p in network.named_parameters()}
    state = averaged(contents, trained)
    fill(network, state, prefix)
    refuse_others(state, [prefix])


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
        if shadow is None:
            return state
        raise _missing([name for name in trained if name not in state])
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


def fill(
    network: Network,
    state: Mapping[str, Any],
    prefix: str = "",
    unused: re.Pattern[str] | None = None,
) -> None:
    """Give a network copies of its weights, in the precision of the network.

    Args:
        network: of the right sizes.
        state: weights by their names in the file.
        prefix: of the published keys in the file; others with it are refused.
        unused: those of them that are not, behind the prefix: published weights that the output
            does not depend on.

    Raises:
        CheckpointError: names the keys that are missing, that are odd or do not fit.
    """
    own = network.state_dict()
    keys = {name: prefix + key for name, key in network.published_keys().items()}
    if missing := [key for key in keys.values() if key not in state]:
        raise _missing(missing)
    known = set(keys.values())
    odd = (key for key in state if key.startswith(prefix) and key not in known)
    _refuse(key for key in odd if not (unused and unused.fullmatch(key, len(prefix))))
    values = {}
    for name, key in keys.items():
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


@torch.no_grad()
def negate(layer: nn.Module) -> None:
    """Turn the sign of what a linear layer gives."""
    for parameter in layer.parameters():
        parameter.neg_()


def refuse_others(state: Mapping[str, Any], prefixes: Sequence[str]) -> None:
    """Refuse a state_dict with keys under other prefixes than these and those of `IGNORED`."""
    _refuse(key for key in state if not key.startswith(tuple(prefixes)))


def _refuse(keys: Iterable[str]) -> None:
    if odd := [key for key in keys if not key.startswith(IGNORED)]:
        raise CheckpointError(f"its state_dict has unknown keys: {_few(odd)}")


def _missing(keys: Sequence[str]) -> CheckpointError:
    return CheckpointError(f"its state_dict lacks {_few(keys)}")


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
