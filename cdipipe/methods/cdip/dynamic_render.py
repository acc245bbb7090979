"""A fitted movie: exit waves or transmissions at any time, and the file that keeps them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cdipipe.errors import InputError
from cdipipe.methods.cdip.box import Box
from cdipipe.methods.cdip.model import REFRACTIVE_SHIFT, SOFTPLUS_AT_START, isolated_waves
from cdipipe.networks.fields.dynamic import MovieField

FORMAT = "cdipipe movie field 1"


class FittedMovie(nn.Module):
    """A field, the box in which it lives, and the time that it covers.

    Parameters
    ----------
    settings : dict
        Arguments of MovieField but for the generator.
    box : Box
    shape : (H, W) of the array
    span_s : (first, last) time of the movie, seconds
    refractive : whether the object is a transmission, one outside the box, or an isolated exit wave
    modulus : that of an isolated exit wave, sqrt(photons per pixel)
    seed : int
    phases_rad : lowest and highest phase of an isolated exit wave, optional
    """

    def __init__(self, settings, box, shape, span_s, refractive, modulus, seed=0, phases_rad=None):
        super().__init__()
        self.settings, self.box, self.shape = dict(settings), box, tuple(shape)
        self.span_s, self.refractive, self.modulus = tuple(map(float, span_s)), bool(refractive), float(modulus)
        self.phases_rad = None if phases_rad is None else tuple(phases_rad)
        self.field = MovieField(generator=torch.Generator().manual_seed(seed % 2**63), **self.settings)

    def field_times(self, times_s: Tensor) -> Tensor:
        """Times (F,) of the field, from -1 to 1, in double precision."""
        first, last = self.span_s
        return (times_s.double() - first) / max(last - first, 1e-30) * 2 - 1

    def objects(self, times_s: Tensor) -> Tensor:
        """Objects in the box, (F, *box) complex64, at times (F,) in seconds; differentiable."""
        one, two = self.field(self.field_times(times_s).to(self.field.biases[0])).unbind(-1)
        if self.refractive:
            thickness = nn.functional.softplus(torch.stack((one, two)) - REFRACTIVE_SHIFT).sum(-1)
            return torch.polar((-thickness[0]).exp(), -thickness[1])
        waves = isolated_waves(one, two, self.phases_rad).sum(-1)
        return waves * (SOFTPLUS_AT_START * self.modulus / one.shape[-1])

    @torch.no_grad()
    def render(self, times_s, frames_at_once: int = 4) -> np.ndarray:
        """Objects on the whole array, (F, H, W) complex64, centred, at any times (F,) in seconds within the movie.

        Raises
        ------
        InputError   a time before the first frame or after the last
        """
        times = torch.as_tensor(np.asarray(times_s, np.float64))
        first, last = self.span_s
        slack = 1e-9 * (last - first)
        if len(times) and not (times.min() >= first - slack and times.max() <= last + slack):
            got = f"{float(times.min()):g} to {float(times.max()):g} s"
            raise InputError(f"times to render: got {got}; the movie lasts from {first:g} to {last:g} s")
        frames = np.full((len(times), *self.shape), float(self.refractive), np.complex64)
        inside = tuple(
            slice(size // 2 + low, size // 2 + low + side)
            for size, low, side in zip(self.shape, self.box.first, self.box.sides, strict=True)
        )
        device = self.field.biases[0].device
        for begin in range(0, len(times), frames_at_once):
            some = slice(begin, begin + frames_at_once)
            frames[(some, *inside)] = self.objects(times[some].to(device)).cpu().numpy()
        return frames

    def save(self, path: str | Path) -> None:
        """Write everything that :func:`load_movie` needs, whole or not at all."""
        plain = {
            "format": FORMAT,
            "settings": self.settings,
            "box": [list(self.box.first), list(self.box.sides)],
            "shape": list(self.shape),
            "span_s": list(self.span_s),
            "refractive": self.refractive,
            "modulus": self.modulus,
            "phases_rad": self.phases_rad,
        }
        partial = Path(f"{path}.part")
        torch.save(plain | {"state": {name: value.cpu() for name, value in self.state_dict().items()}}, partial)
        os.replace(partial, path)


def load_movie(path: str | Path) -> FittedMovie:
    """A movie that was kept in a file.

    Raises
    ------
    InputError   no such file, or not one of a movie's field
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:
        raise InputError(f"{path}: not a file that torch can read") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not the field of a movie (format '{FORMAT}')")
    first, sides = (tuple(part) for part in data["box"])
    names = ("settings", "shape", "span_s", "refractive", "modulus")
    rest = {name: data[name] for name in names}
    movie = FittedMovie(box=Box(first, sides), phases_rad=data.get("phases_rad"), **rest)
    movie.load_state_dict(data["state"])
    return movie
