"""What operations of the device that is not there cost: which wait, upload, or add in no fixed order; the counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch

WAITS = {
    "_local_scalar_dense", "equal", "nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive",
    "bincount", "repeat_interleave", "is_nonzero", "linalg_inv_ex", "_linalg_eigh", "histc",
}  # fmt: skip
"""Operations whose result the processor must know before it goes on."""
UNORDERED = {
    "index_add", "scatter_add", "scatter_reduce", "index_put", "_index_put_impl", "_unsafe_index_put",
    "embedding_dense_backward", "max_pool3d_with_indices_backward",
}  # fmt: skip
"""Operations that add in the order in which threads come, unless deterministic algorithms are chosen."""
WITHOUT_ORDER = {
    "avg_pool3d_backward", "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward", "upsample_linear1d_backward", "upsample_bilinear2d_backward",
    "upsample_bicubic2d_backward", "upsample_trilinear3d_backward", "reflection_pad1d_backward",
    "reflection_pad2d_backward", "reflection_pad3d_backward", "grid_sampler_2d_backward", "grid_sampler_3d_backward",
    "histc", "kthvalue", "bincount", "put", "nll_loss_forward", "nll_loss2d_forward",
}  # fmt: skip
"""Operations that add in no fixed order and have no other way: an error with deterministic algorithms."""
FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh"}
TRANSFORMS = {"_fft_c2c", "_fft_r2c", "_fft_c2r"}
UPLOADS = {"tensor", "as_tensor", "scalar_tensor", "from_numpy"}


@dataclass
class Counts:
    """What happened since it was made or cleared."""

    launches: int = 0
    uploads: int = 0
    waits: Counter = field(default_factory=Counter)
    """by the operation that waited"""
    unordered: Counter = field(default_factory=Counter)
    """operations whose sums have no fixed order, run without deterministic algorithms"""
    by_name: Counter = field(default_factory=Counter)

    def clear(self) -> None:
        self.launches = self.uploads = 0
        for counter in (self.waits, self.unordered, self.by_name):
            counter.clear()

    def launch(self, name: str) -> None:
        self.launches += 1
        self.by_name[name] += 1


COUNTS = Counts()


def adds(name: str, args) -> bool:
    """Whether places may be written to twice, so that the order counts."""
    if name in ("index_put", "_index_put_impl", "_unsafe_index_put"):
        return len(args) > 3 and bool(args[3])
    if name == "scatter_reduce":
        return args[4] not in ("amin", "amax")
    return name != "bincount" or (len(args) > 1 and args[1] is not None)


def asks_for_places(name: str, args) -> bool:
    """Is it an index by a mask, whose True pixels must be counted first? One number into them is a mere fill."""
    if name not in ("index", "index_put", "_index_put_impl"):
        return False
    masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
    fills = name != "index" and len(masks) == 1 and args[2].numel() == 1 and not (len(args) > 3 and args[3])
    return bool(masks) and not fills
