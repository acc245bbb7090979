"""An untrained neural field that is factorised into planes: what CDIP fits to diffraction patterns.

    h_0 = sin(omega (A_xy f_xy + A_xz f_xz + A_yz f_yz + c_0))     features f of three planes, side by side, mixed
    h_l = sin(omega (A_l h_(l-1) + c_l))                           as many hidden layers as wanted
    out = A h_L + c                                                two real numbers at each point

x, y, z are the first, second and third axis of a block. The first layer is linear in each plane's features, so it is
applied to the planes before they are spread over the block: the wide array is then that of h_0 and nothing wider.

Many fields, one for each seed, are computed as one: every parameter has a leading axis of seeds.

References
----------
Hu, Yao, Zhang, Villanueva-Perez, "Constraint-free coherent diffraction imaging via physics-guided neural fields";
planes: Cao and Johnson, CVPR 2023, doi:10.1109/CVPR52729.2023.00021; sine layers: Sitzmann et al., NeurIPS 2020,
arXiv:2006.09661
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdipipe.ops.hexplane import sample_block

HEADS = ("sine", "leaky_relu")
LEAK = 0.01
PLANE_SCALE = 0.1


class PlaneField(nn.Module):
    """Fields of several seeds on blocks of the unit cube [-1, 1]^3.

    Parameters
    ----------
    cells : (nx, ny, nz)
        Cells of the planes along each axis.
    generators : one torch.Generator per seed
        A field depends on its own generator alone, not on those beside it.
    channels, hidden, layers : int
        Features per plane, width of the layers, and their number after the planes are mixed.
    head : ``sine`` or ``leaky_relu``
    omega : float
        Frequency of the sine layers: how fast the output may vary with the features.
    """

    def __init__(
        self,
        cells: Sequence[int],
        generators: Sequence[torch.Generator],
        channels: int = 16,
        hidden: int = 32,
        layers: int = 2,
        head: str = "sine",
        omega: float = 5.0,
    ):
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head: got '{head}'; allowed: {', '.join(HEADS)}")
        self.cells = tuple(cells)
        self.head, self.omega = head, omega if head == "sine" else 1.0
        nx, ny, nz = self.cells
        shapes = [(nx, ny, channels), (nx, nz, channels), (ny, nz, channels)]
        widths = [hidden] * layers + [2]
        first = math.sqrt(6 / (3 * channels)) / self.omega

        def uniform(bound, *shape):
            return torch.stack([(2 * torch.rand(shape, generator=g) - 1) * bound for g in generators])

        self.planes = nn.ParameterList(
            torch.stack([PLANE_SCALE * torch.randn(shape, generator=g) for g in generators]) for shape in shapes
        )
        self.mixing = nn.ParameterList(uniform(first, channels, hidden) for _ in shapes)
        self.weights = nn.ParameterList(
            uniform(math.sqrt(6 / hidden) / self.omega, hidden, width) for width in widths[1:]
        )
        self.biases = nn.ParameterList(uniform(1 / math.sqrt(hidden), 1, width) for width in widths)

    def forward(self, window: Sequence[slice] | None = None) -> Tensor:
        """Both outputs on the cells of the planes, or on those of a window of them.

        Returns
        -------
        (seeds, X, Y, Z, 2) float32
        """
        x, y, z = window or (slice(None),) * 3
        xy, xz, yz = self.planes
        mixed = [self._mix(plane, index) for index, plane in enumerate((xy[:, x, y], xz[:, x, z], yz[:, y, z]))]
        return self._layers(mixed[0].unsqueeze(3) + mixed[1].unsqueeze(2) + mixed[2].unsqueeze(1))

    def sample(self, axes: Sequence[Tensor]) -> Tensor:
        """Both outputs on the block that three arrays of coordinates in [-1, 1] span; -1 and 1 are the outer cells.

        Returns
        -------
        (seeds, X, Y, Z, 2) float32
        """
        mixed = [self._mix(plane, index) for index, plane in enumerate(self.planes)]
        return self._layers(sample_block(mixed, axes, "sum"))

    def _layers(self, block: Tensor) -> Tensor:
        """All layers after the mixing of (seeds, X, Y, Z, hidden) features."""
        shape = block.shape
        values = self._activate(block.flatten(1, 3))
        for weight, bias in zip(self.weights[:-1], self.biases[1:-1], strict=True):
            values = self._activate(torch.baddbmm(self.omega * bias, values, self.omega * weight))
        values = torch.baddbmm(self.biases[-1], values, self.weights[-1])
        return values.reshape(*shape[:4], 2)

    def _mix(self, plane: Tensor, index: int) -> Tensor:
        """First layer on one plane (seeds, n, m, channels), times omega; the bias goes with the first plane."""
        rows = plane.flatten(1, 2)
        weight = self.omega * self.mixing[index]
        mixed = rows @ weight if index else torch.baddbmm(self.omega * self.biases[0], rows, weight)
        return mixed.reshape(*plane.shape[:3], -1)

    def _activate(self, values: Tensor) -> Tensor:
        return values.sin() if self.head == "sine" else nn.functional.leaky_relu(values, LEAK)
