"""Block sampling of plane-factorised features against torch, forward plus backward.

    python benchmarks/fields.py [alone] [in_time] [-o FILE]

block           cdipipe.ops.hexplane.sample_block: each plane sampled once, broadcast and fused in compiled code
broadcast       F.grid_sample once on each plane's own grid, then broadcast and fuse in torch (channels first)
broadcast_last  the same with channels last, as the block has them
every_voxel     F.grid_sample of each plane at every voxel, then fuse

Blocks of 64 x 64 x 8 voxels, alone and at 4 times, 16 channels, planes of one cell per voxel and 16 cells along time.
Variants alternate within one process, a few calls of one kind in a row as in training, the first two not timed: they
find memory that another variant gave back. Ratios are medians over neighbouring calls, ``ratio_of_fastest`` is from
the fastest call of each and means most on a busy machine.

``bytes`` is what must move at least once: planes read and the block written forward, its gradient (and the planes,
where the fusion needs them) read and the planes' gradients written backward; ``gb_per_s`` is that over the median time.
Results go to benchmarks/results/fields.json.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import alternate, milliseconds, ratio, ratio_of_fastest, run_all

from cdipipe.ops import backend
from cdipipe.ops.hexplane import FUSIONS, STATIC_FUSIONS, sample_block
from cdipipe.ops.hexplane.reference import PAIRS, PLANE_AXES

SIZES, TIMES, TIME_CELLS, CHANNELS, SECONDS = (64, 64, 8), 4, 16, 16, 2.0


def fuse(samples: list[torch.Tensor], fusion: str, channel_axis: int) -> torch.Tensor:
    if fusion == "concatenation":
        return torch.cat(torch.broadcast_tensors(*samples), channel_axis)
    if fusion in ("pairs", "pair_sum"):
        products = [samples[a] * samples[b] for a, b in PAIRS]
        return torch.cat(products, channel_axis) if fusion == "pairs" else sum(products)
    total = samples[0]
    for sample in samples[1:]:
        total = total * sample if fusion == "product" else total + sample
    return total


def grid_sample(plane: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(plane, grid, padding_mode="border", align_corners=True)


class Case:
    """One block with its planes, channels last for us and channels first for grid_sample; grids are made before."""

    def __init__(self, timed: bool, fusion: str):
        generator = torch.Generator().manual_seed(0)
        self.fusion, self.order = fusion, (3, 0, 1, 2) if timed else (0, 1, 2)
        sizes = (*SIZES, TIMES) if timed else SIZES
        cells = (*SIZES, TIME_CELLS)
        self.axes = [2 * torch.rand(size, generator=generator).sort().values - 1 for size in sizes]
        pairs = PLANE_AXES[: 6 if timed else 3]
        self.planes = [torch.randn(cells[a], cells[b], CHANNELS, generator=generator) for a, b in pairs]
        self.first = [plane.movedim(-1, 0)[None].contiguous().requires_grad_(True) for plane in self.planes]
        self.planes = [plane.requires_grad_(True) for plane in self.planes]
        self.shape = tuple(sizes[axis] for axis in self.order)
        voxels = [grid.reshape(-1) for grid in torch.meshgrid(*(self.axes[axis] for axis in self.order), indexing="ij")]
        at = {axis: voxels[k] for k, axis in enumerate(self.order)}
        self.voxel_grids = [torch.stack((at[b], at[a]), -1)[None, None] for a, b in pairs]
        self.plane_grids, self.sample_shapes = [], []
        for a, b in pairs:
            a, b = (a, b) if self.order.index(a) < self.order.index(b) else (b, a)
            rows, columns = torch.meshgrid(self.axes[a], self.axes[b], indexing="ij")
            flip = (columns, rows) if a < b else (rows, columns)
            self.plane_grids.append(torch.stack(flip, -1)[None])
            self.sample_shapes.append([sizes[axis] if axis in (a, b) else 1 for axis in self.order])
        self.grad_last = torch.randn(self.block().shape, generator=generator)
        self.grad_first = self.grad_last.movedim(-1, 0).contiguous()

    def block(self) -> torch.Tensor:
        return sample_block(self.planes, self.axes, self.fusion)

    def broadcast(self) -> torch.Tensor:
        triples = zip(self.first, self.plane_grids, self.sample_shapes, strict=True)
        samples = [grid_sample(plane, grid).reshape(CHANNELS, *shape) for plane, grid, shape in triples]
        return fuse(samples, self.fusion, 0)

    def broadcast_last(self) -> torch.Tensor:
        triples = zip(self.first, self.plane_grids, self.sample_shapes, strict=True)
        samples = [
            grid_sample(plane, grid)[0].permute(1, 2, 0).reshape(*shape, CHANNELS).contiguous()
            for plane, grid, shape in triples
        ]
        return fuse(samples, self.fusion, -1)

    def every_voxel(self) -> torch.Tensor:
        pairs = zip(self.first, self.voxel_grids, strict=True)
        samples = [grid_sample(plane, grid).reshape(CHANNELS, *self.shape) for plane, grid in pairs]
        return fuse(samples, self.fusion, 0)

    def bytes_moved(self) -> int:
        linear = self.fusion in ("sum", "concatenation")
        planes = sum(plane.numel() for plane in self.planes)
        return 4 * (2 * self.grad_last.numel() + (2 if linear else 3) * planes)

    def check(self) -> None:
        """All variants compute the same, forward and backward."""
        wanted = [self.block(), *torch.autograd.grad(self.block(), self.planes, self.grad_last)]
        for name, last in (("broadcast", False), ("broadcast_last", True), ("every_voxel", False)):
            out = getattr(self, name)()
            grads = torch.autograd.grad(out, self.first, self.grad_last if last else self.grad_first)
            got = [out if last else out.movedim(0, -1), *(grad[0].movedim(0, -1) for grad in grads)]
            for a, b in zip(got, wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def measure(case: Case) -> dict:
    """Milliseconds of every variant, forward and backward, and how many times as long the others take."""

    def both(name, planes, grad):
        return lambda: torch.autograd.grad(getattr(case, name)(), planes, grad)

    variants = {
        "block": both("block", case.planes, case.grad_last),
        "broadcast": both("broadcast", case.first, case.grad_first),
        "broadcast_last": both("broadcast_last", case.first, case.grad_last),
        "every_voxel": both("every_voxel", case.first, case.grad_first),
    }
    times = alternate(variants, SECONDS, turns=6, warm=2)
    row = milliseconds(times)
    others = [name for name in variants if name != "block"]
    row["ratio"] = {name: ratio(times, name, "block") for name in others}
    row["ratio_of_fastest"] = {name: ratio_of_fastest(times, name, "block") for name in others}
    row["bytes"] = case.bytes_moved()
    row["gb_per_s"] = round(row["bytes"] / row["block_ms"] / 1e6, 2)
    return row


def blocks(timed: bool) -> dict:
    """A row for every fusion."""
    rows = {}
    for fusion in FUSIONS if timed else STATIC_FUSIONS:
        case = Case(timed, fusion)
        case.check()
        rows[fusion] = measure(case)
        print(f"{fusion:>20} {rows[fusion]}", flush=True)
    return {"sizes": SIZES, "times": TIMES if timed else 1, "channels": CHANNELS, **rows}


if __name__ == "__main__":
    if backend.native is None:
        raise SystemExit("cdipipe._native is not built")
    run_all(__doc__, "fields", {"alone": lambda: blocks(False), "in_time": lambda: blocks(True)})
