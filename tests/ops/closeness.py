"""How close float32 kernels must come to their reference."""

import torch


def assert_close(got: torch.Tensor, wanted: torch.Tensor, relative: float = 1e-5) -> None:
    """Largest difference at most ``relative`` times the largest wanted value."""
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    if wanted.numel():
        assert (got - wanted).abs().max() <= relative * max(1e-3, float(wanted.abs().max()))
