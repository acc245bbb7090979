"""Where a pattern is centrosymmetric: I(q) = I(-q) holds for real objects and nearly for all weak ones (Friedel).

Masked normalised correlation of a pattern with itself turned by 180 degrees, for all centres at once by FFT:
Padfield, IEEE Trans. Image Process. 21, 2706 (2012), doi:10.1109/TIP.2011.2181402.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

COARSE_PX = 256
FINE_HALF_PX = 192
LEAST_OVERLAP = 0.02
"""Share of all pixels that must have a measured mate."""
ENOUGH = 0.1
"""Share of a pattern's contrast that must have a measured mate for the agreement to count in full."""
MORE_IS_BETTER = 0.2
"""Of centres with the same agreement, the one with more of the contrast in pairs."""
NEAR_PX = 4


@dataclass(frozen=True)
class Symmetry:
    """A centre of symmetry.

    Parameters
    ----------
    index : row and column
    agreement : correlation of the pattern with itself turned about it, -1 to 1
    beside : the mean of the same, :data:`NEAR_PX` pixels away
    """

    index: tuple[int, int]
    agreement: float
    beside: float


def turned_correlation(image: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of a pattern with itself turned by 180 degrees about every pixel and every half of one.

    Parameters
    ----------
    image : (H, W), counts (the sum over all frames); log(1 + counts) is compared, so that no bright pixel decides alone
    measured : (H, W) bool

    Returns
    -------
    agreement, score : (2 H - 1, 2 W - 1), index ``2 c`` is centre ``c``; the score is the agreement, less where little
        of the pattern has a measured mate, and -1 where next to nothing has
    """
    values = np.log1p(np.maximum(image, 0)) * measured
    shape = [fft.next_fast_len(2 * size - 1, real=True) for size in values.shape]
    spectra = [fft.rfft2(array, shape) for array in (values, values * values, measured.astype(float))]

    def correlate(first: int, second: int) -> np.ndarray:
        full = fft.irfft2(spectra[first] * spectra[second], shape)
        return full[: 2 * values.shape[0] - 1, : 2 * values.shape[1] - 1]

    sums = [correlate(*which) for which in ((2, 2), (0, 2), (1, 2), (0, 0))]
    for total, own in zip(sums, (measured, values, values * values, values * values), strict=True):
        total[::2, ::2] -= own  # a pixel is no mate of its own
    pairs, first, second, product = sums
    square = first * first / np.maximum(pairs, 1)
    number = max(int(measured.sum()), 1)
    whole = max(float((values * values).sum()) - float(values.sum()) ** 2 / number, 1e-30)
    contrast = np.clip((second - square) / whole, 0, 1)
    agreement = np.clip((product - square) / (whole * np.maximum(contrast, ENOUGH)), -1, 1)
    return agreement, np.where(pairs < LEAST_OVERLAP * values.size, -1, agreement * contrast**MORE_IS_BETTER)


def _shrink(image: np.ndarray, measured: np.ndarray, factors: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the measured pixels of blocks; a block is measured if half of its pixels are."""
    rows, columns = (size // factor for size, factor in zip(image.shape, factors, strict=True))
    cut = slice(rows * factors[0]), slice(columns * factors[1])
    split = (rows, factors[0], columns, factors[1])
    number = measured[cut].reshape(split).sum((1, 3))
    total = (image * measured)[cut].reshape(split).sum((1, 3))
    return total / np.maximum(number, 1), number >= factors[0] * factors[1] / 2


def find_symmetry(image: np.ndarray, measured: np.ndarray) -> Symmetry:
    """The pixel about which a pattern is most symmetric, first on blocks of pixels, then around it at full size.

    Parameters
    ----------
    image : (H, W), counts, the sum over all frames
    measured : (H, W) bool
    """
    factors = tuple(-(-size // COARSE_PX) for size in image.shape)
    _, score = turned_correlation(*_shrink(image, measured, factors))
    coarse = np.unravel_index(int(score.argmax()), score.shape)
    places = zip(coarse, factors, image.shape, strict=True)
    guess = tuple(min(round((at / 2 + 0.5) * factor - 0.5), size - 1) for at, factor, size in places)
    return improve_symmetry(image, measured, guess, 2 * max(factors))


def improve_symmetry(image: np.ndarray, measured: np.ndarray, guess: tuple[int, int], reach_px: int) -> Symmetry:
    """The pixel about which a pattern is most symmetric, no farther than ``reach_px`` from a guess; 0 judges that."""
    half = FINE_HALF_PX + reach_px
    low = tuple(max(centre - half, 0) for centre in guess)
    box = tuple(slice(start, centre + half + 1) for start, centre in zip(low, guess, strict=True))
    agreement, score = turned_correlation(image[box], measured[box])
    sizes = image[box].shape
    rows, columns = (
        np.arange(max(centre - start - reach_px, 0), min(centre - start + reach_px + 1, size))
        for centre, start, size in zip(guess, low, sizes, strict=True)
    )
    near = score[np.ix_(2 * rows, 2 * columns)]
    down, right = np.unravel_index(int(near.argmax()), near.shape)
    index = (int(rows[down]), int(columns[right]))
    return Symmetry((index[0] + low[0], index[1] + low[1]), *_judge(agreement, index))


def _judge(agreement: np.ndarray, index: tuple[int, int]) -> tuple[float, float]:
    """The agreement at a pixel, and its mean :data:`NEAR_PX` pixels above, below, left and right."""
    row, column = 2 * index[0], 2 * index[1]
    steps = [(-2 * NEAR_PX, 0), (2 * NEAR_PX, 0), (0, -2 * NEAR_PX), (0, 2 * NEAR_PX)]
    around = [(row + down, column + right) for down, right in steps]
    inside = [agreement[y, x] for y, x in around if 0 <= y < agreement.shape[0] and 0 <= x < agreement.shape[1]]
    return float(agreement[row, column]), float(np.mean(inside)) if inside else -1.0
