"""Microphones and loudspeakers: PortAudio, by the package sounddevice (extra `live`).

A device is found by its number or a part of its name; `sgmse.live.line` has its sound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sgmse._extras import imported
from sgmse.errors import ArgumentError, MissingPackageError


class Running(Protocol):
    """A stream of sounddevice: `RawInputStream` or `RawOutputStream`."""

    @property
    def active(self) -> bool:
        """Whether it calls back."""

    @property
    def latency(self) -> float:
        """In seconds."""

    def start(self) -> None:
        """Begin to call back."""

    def stop(self) -> None:
        """End, when what it has was played."""

    def abort(self) -> None:
        """End at once."""

    def close(self) -> None:
        """Give the device back."""


class SoundDevice(Protocol):
    """What is used of the module sounddevice."""

    PortAudioError: type[Exception]
    RawInputStream: Callable[..., Running]
    RawOutputStream: Callable[..., Running]
    default: Any

    def query_devices(self) -> Sequence[Mapping[str, Any]]:
        """All devices, by their numbers."""


@dataclass(frozen=True)
class Device:
    """A microphone, a loudspeaker, or both.

    Args:
        number: of PortAudio.
        name: that it has in the system.
        inputs, outputs: channels.
        rate: that it takes without a conversion, in Hz.
        default_input, default_output: whether it is that of the system.
    """

    number: int
    name: str
    inputs: int
    outputs: int
    rate: int
    default_input: bool = False
    default_output: bool = False


def sounddevice() -> SoundDevice:
    """The module. Raises `MissingPackageError` without it, or without PortAudio."""
    try:
        return cast("SoundDevice", imported("sounddevice", "sound of devices", "live"))
    except OSError as error:  # of the package, which for Linux is without the library
        raise MissingPackageError(
            f"sound of devices needs the library PortAudio ({error}): apt install libportaudio2, "
            "or as your system has it"
        ) from error


def devices() -> list[Device]:
    """All that there are, which may be none. Raises `MissingPackageError`."""
    sound = sounddevice()
    first, second = sound.default.device
    return [
        Device(
            number,
            str(about["name"]),
            int(about["max_input_channels"]),
            int(about["max_output_channels"]),
            round(about["default_samplerate"]),
            number == first,
            number == second,
        )
        for number, about in enumerate(sound.query_devices())
    ]


def microphone(word: str) -> Device:
    """That of a number, of a part of a name, or "default". Raises `ArgumentError`."""
    able = [device for device in devices() if device.inputs]
    return _named(word, able, [d for d in able if d.default_input], "microphone")


def loudspeaker(word: str) -> Device:
    """The same."""
    able = [device for device in devices() if device.outputs]
    return _named(word, able, [d for d in able if d.default_output], "loudspeaker")


def _named(word: str, able: list[Device], default: list[Device], what: str) -> Device:
    if not able:
        raise ArgumentError(
            f"PortAudio finds no {what} on this machine; sound of files and pipes needs none"
        )
    if word == "default":
        return (default or able)[0]
    low = word.lower()
    found = [d for d in able if str(d.number) == word or d.name.lower() == low]
    found = found or [d for d in able if low in d.name.lower()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ArgumentError(f"there is no {what} {word!r}; sgmse live --devices lists them")
    names = ", ".join(f"{d.number} {d.name}" for d in found[:5])
    raise ArgumentError(f"several are a {what} {word!r}: {names}; name one by its number")
