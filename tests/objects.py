"""Objects and measurements that the tests of methods share."""

import numpy as np


def make_object(shape, seed=0, phase_rad=1.0, photons=1e6):
    """A lopsided smooth blob with a phase, inside the middle quarter of the array; and its support."""
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(*[(np.arange(n) - n // 2) / n for n in shape], indexing="ij")
    support = sum((a * s) ** 2 for a, s in zip(axes, (9.0, 13.0, 11.0), strict=False)) < 1
    support &= axes[0] + 0.4 * axes[1] < 0.07
    amplitude = support * (1 + 0.3 * np.cos(40 * axes[0] + generator.uniform()))
    object_ = amplitude * np.exp(1j * phase_rad * np.sin(25 * axes[1] + 12 * axes[0] ** 2))
    object_ *= np.sqrt(photons / np.sum(np.abs(object_) ** 2))
    return object_.astype(np.complex64), support


def correlation(a, b):
    return abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b)
