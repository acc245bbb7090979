"""An untrained neural field in space and time, factorised into six planes: what CDIP fits to a movie.

    f   = (f_xy f_zt | f_xz f_yt | f_yz f_xt)       features of a plane times those of the plane of the other two axes
    h_0 = sin(omega (A_0 f + c_0))
    h_l = sin(omega (A_l h_(l-1) + c_l))            as many hidden layers as wanted
    out = A h_L + c                                 two real numbers at each point and time

Time is a coordinate like the others, so the field can be asked at any time. Its size grows with the box, the number of
time cells and the channels; what a step computes grows with the frames of that step, not with those of the movie.

References
----------
Hu, Yao, Zhang, Villanueva-Perez, "Constraint-free coherent diffraction imaging via physics-guided neural fields";
planes and their pairs: Cao and Johnson, CVPR 2023, doi:10.1109/CVPR52729.2023.00021; sine layers: Sitzmann et al.,
NeurIPS 2020, arXiv:2006.09661
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdipipe.ops.hexplane import PLANE_NAMES, sample_block
from cdipipe.ops.hexplane.reference import PLANE_AXES

HEADS = ("sine", "leaky_relu")
FUSIONS = {"pairs": 3, "product": 1, "concatenation": 6}
LEAK = 0.01
PLANE_SCALE = 0.1


class MovieField(nn.Module):
    """A field on a box during a movie, both mapped to [-1, 1].

    Parameters
    ----------
    cells : (nx, ny, nz, nt)
        Cells along each axis; between them features are interpolated linearly.
    generator : torch.Generator
    channels, hidden, layers : int
        Features per plane, width of the layers, and their number before the output.
    head : ``sine`` or ``leaky_relu``
    omega : float
        Frequency of the sine layers: how fast the output may vary with the features.
    fusion : ``pairs``, ``product`` of all six planes, or ``concatenation``
    """

    def __init__(
        self,
        cells: Sequence[int],
        generator: torch.Generator,
        channels: int = 32,
        hidden: int = 32,
        layers: int = 2,
        head: str = "sine",
        omega: float = 5.0,
        fusion: str = "pairs",
    ):
        super().__init__()
        if head not in HEADS or fusion not in FUSIONS:
            allowed = f"{', '.join(HEADS)} and {', '.join(FUSIONS)}"
            raise ValueError(f"head and fusion: got '{head}' and '{fusion}'; allowed: {allowed}")
        self.cells, self.fusion = tuple(cells), fusion
        self.head, self.omega = head, omega if head == "sine" else 1.0
        widths = [FUSIONS[fusion] * channels] + [hidden] * layers + [2]

        def uniform(bound, *shape):
            return nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * bound)

        self.planes = nn.ParameterList(
            nn.Parameter(self._first_values(index, channels, generator)) for index in range(len(PLANE_NAMES))
        )
        self.weights = nn.ParameterList(
            uniform(math.sqrt(6 / narrow) / self.omega, narrow, wide) for narrow, wide in itertools.pairwise(widths)
        )
        self.biases = nn.ParameterList(uniform(1 / math.sqrt(hidden), wide) for wide in widths[1:])

    def _first_values(self, index: int, channels: int, generator: torch.Generator) -> Tensor:
        """Small normal numbers; for the product of all planes about one, for it must not begin as zero."""
        rows, columns = (self.cells[axis] for axis in PLANE_AXES[index])
        values = PLANE_SCALE * torch.randn(rows, columns, channels, generator=generator)
        return values + 1 if self.fusion == "product" and index not in (3, 4) else values

    def forward(self, times: Tensor) -> Tensor:
        """Both outputs at every cell of the box and some times.

        Parameters
        ----------
        times : (F,) float32 in [-1, 1], first to last time cell

        Returns
        -------
        (F, X, Y, Z, 2) float32
        """
        axes = [_cell_centres(size, times) for size in self.cells[:3]]
        features = sample_block(list(self.planes), [*axes, times], self.fusion)
        gain = self.omega / PLANE_SCALE if self.fusion == "pairs" else self.omega
        values = features.flatten(0, 3)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = self._activate(torch.addmm(self.omega * bias, values, gain * weight))
            gain = self.omega
        return torch.addmm(self.biases[-1], values, self.weights[-1]).reshape(*features.shape[:4], 2)

    def _activate(self, values: Tensor) -> Tensor:
        return values.sin() if self.head == "sine" else nn.functional.leaky_relu(values, LEAK)


def _cell_centres(size: int, like: Tensor) -> Tensor:
    if size == 1:
        return like.new_zeros(1)
    return torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
