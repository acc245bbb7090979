"""Mask algebra of weighted partial convolution against plain PyTorch.

    python benchmarks/wpc.py [windows] [features] [-o FILE]

windows     ratio and mask of a layer against the two conv2d that give its window sums, and against the whole algebra
features    ratio, bias and mask on a layer's features, in place, against PyTorch's in-place operations

Variants alternate within one process. On a busy machine only ``ratio_of_fastest``, from the fastest call of each, means
something. Results go to benchmarks/results/wpc.json.
"""

from __future__ import annotations

import torch
from common import alternate, milliseconds, ratio, ratio_of_fastest, run_all
from torch.nn import functional

from cdipipe.ops.wpc import guinier_porod_weights, reference_window_ratio, renormalise_, window_ratio

OBJECT_BOX_PX, SECONDS = 64, 2.0
WINDOWS = {"512^2, 7 x 7": (512, 7, 1), "512^2, 3 x 3, stride 2": (512, 3, 2), "256^2, 3 x 3, stride 2": (256, 3, 2)}
FEATURES = {"64 x 512^2": (64, 512), "128 x 256^2": (128, 256), "256 x 128^2": (256, 128), "512 x 64^2": (512, 64)}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def ratios(times: dict[str, list[float]], ours: str, theirs: str) -> dict[str, float]:
    """How many times faster ours is."""
    return {
        f"faster_than_{theirs}": ratio(times, theirs, ours),
        f"ratio_of_fastest_{theirs}": ratio_of_fastest(times, theirs, ours),
    }


def windows() -> dict:
    results = {}
    for name, (size, kernel, stride) in WINDOWS.items():
        weights = guinier_porod_weights((size, size), size / OBJECT_BOX_PX)
        measured = torch.rand(size, size, generator=torch.Generator().manual_seed(0)) > 0.1
        mask, ones = measured.float()[None, None], torch.ones(1, 1, kernel, kernel)
        window = {"stride": stride, "padding": kernel // 2}

        def sums(weights=weights, mask=mask, ones=ones, window=window):
            functional.conv2d(weights[None, None], ones, **window)
            functional.conv2d(weights * mask, ones, **window)

        def ours(measured=measured, weights=weights, kernel=kernel, window=window):
            window_ratio(measured, weights, kernel, **window)

        def algebra(measured=measured, weights=weights, kernel=kernel, window=window):
            reference_window_ratio(measured, weights, kernel, **window)

        times = alternate({"ours": ours, "conv2d": sums, "plain_algebra": algebra}, SECONDS)
        row = milliseconds(times) | ratios(times, "ours", "conv2d") | ratios(times, "ours", "plain_algebra")
        results[name] = row
        print(f"{name:>24} {row}", flush=True)
    return results


def features() -> dict:
    results: dict = {}
    for name, (channels, size) in FEATURES.items():
        generator = torch.Generator().manual_seed(0)
        ratio, bias = torch.rand(size, size, generator=generator) + 1, torch.randn(channels, generator=generator)
        ratio[torch.rand(size, size, generator=generator) < 0.02] = 0
        valid = (ratio > 0).float()
        for layout, memory_format in LAYOUTS.items():
            array = torch.randn(1, channels, size, size, generator=generator).to(memory_format=memory_format)

            def plain(array=array, ratio=ratio, bias=bias, valid=valid):
                array.mul_(ratio).add_(bias[:, None, None]).mul_(valid)

            def plain_relu(array=array, ratio=ratio, bias=bias, valid=valid):
                array.mul_(ratio).add_(bias[:, None, None]).relu_().mul_(valid)

            variants = {
                "ours": lambda a=array, r=ratio, b=bias: renormalise_(a, r, b),
                "ours_relu": lambda a=array, r=ratio, b=bias: renormalise_(a, r, b, relu=True),
                "in_place": plain,
                "in_place_relu": plain_relu,
            }
            times = alternate(variants, SECONDS)
            row = milliseconds(times) | ratios(times, "ours", "in_place") | ratios(times, "ours_relu", "in_place_relu")
            results.setdefault(name, {})[layout] = row
            print(f"{name:>24} {layout} {row}", flush=True)
    return results


if __name__ == "__main__":
    with torch.inference_mode():
        run_all(__doc__, "wpc", {"windows": windows, "features": features})
