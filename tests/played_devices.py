"""The module sounddevice as tests play it: devices, and streams that call back when asked to."""

from types import SimpleNamespace

import numpy as np

GOOD = SimpleNamespace(input_overflow=False, output_underflow=False)
OVERFLOW = SimpleNamespace(input_overflow=True, output_underflow=False)
UNDERFLOW = SimpleNamespace(input_overflow=False, output_underflow=True)


class PortAudioError(Exception):
    pass


class Played:
    """A stream of sounddevice that the test drives, in the place of PortAudio."""

    latency = 0.01

    def __init__(self, kind: str, module: "Module", **settings) -> None:
        self.kind, self.settings, self.module = kind, settings, module
        self.active, self.events = False, []
        if settings["samplerate"] in module.refused:
            raise PortAudioError("Invalid sample rate\n[PaErrorCode -9997]")
        module.streams.append(self)

    def start(self) -> None:
        if self.settings["device"] in self.module.busy:
            raise PortAudioError("Device unavailable\n[PaErrorCode -9985]")
        self.active = True
        self.events.append("start")

    def __getattr__(self, name: str):
        if name not in ("stop", "abort", "close"):
            raise AttributeError(name)

        def end() -> None:
            self.active = False
            self.events.append(name)

        return end

    def hear(self, samples: np.ndarray, status=GOOD) -> None:
        """The microphone has these, (channels, samples)."""
        content = memoryview(np.ascontiguousarray(samples.T, "<f4").tobytes())
        self.settings["callback"](content, samples.shape[1], None, status)

    def play(self, frames: int, status=GOOD) -> np.ndarray:
        """The loudspeaker asks for so many: (channels, frames)."""
        channels = self.settings["channels"]
        outdata = memoryview(bytearray(b"\xff" * (4 * channels * frames)))
        self.settings["callback"](outdata, frames, None, status)
        return np.frombuffer(outdata, "<f4").reshape(-1, channels).T


class Module:
    """What is used of the module sounddevice."""

    PortAudioError = PortAudioError

    def __init__(self, *listed: tuple[str, int, int], default=(1, 1)) -> None:
        self.listed, self.refused, self.busy, self.streams = listed, [], [], []
        self.default = SimpleNamespace(device=default)

    def query_devices(self):
        names = ("name", "max_input_channels", "max_output_channels")
        more = {"default_samplerate": 48000.0}
        return [dict(zip(names, one, strict=True)) | more for one in self.listed]

    def __getattr__(self, name: str):
        if name not in ("RawInputStream", "RawOutputStream"):
            raise AttributeError(name)
        return lambda **settings: Played(name, self, **settings)
