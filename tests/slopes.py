"""Finite differences of functions of complex waves."""

import torch


def guess(shape, batch=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.view_as_complex(torch.randn((batch, *shape, 2), generator=generator)) * 3


def slope_along(function, wave, direction, step=1e-2):
    ahead, behind = function(wave + step * direction), function(wave - step * direction)
    return (ahead - behind) / (2 * step)
