"""Peers run as their documentation says, on the same data as ours; nothing here is used by the package.

cohere (Advanced Photon Source) comes with the extra ``bench``: ``pip install -c constraints.txt -e '.[bench]'``.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np


def run_cohere(intensity, sequence, *, shrink_every, sigma_px, threshold, beta=0.9, package="torch", seed=0):
    """One random start of cohere_core.

    Parameters
    ----------
    intensity : (*grid) float, zero frequency centred
    sequence : for example ``3*(20*ER+180*HIO)+20*ER``
    package : ``torch`` or ``np``

    Returns
    -------
    object (*grid) complex64, support (*grid) bool, final error, seconds in the iteration loop
    """
    import torch
    from cohere_core.controller.phasing import create_rec

    torch.manual_seed(seed)
    np.random.seed(seed)
    parameters = {
        "algorithm_sequence": sequence,
        "hio_beta": beta,
        "initial_support_area": [0.5] * intensity.ndim,
        "shrink_wrap_trigger": [1, shrink_every],
        "shrink_wrap_type": "GAUSS",
        "shrink_wrap_threshold": threshold,
        "shrink_wrap_gauss_sigma": sigma_px,
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        file = Path(folder) / "data.npy"
        np.save(file, np.sqrt(np.maximum(intensity, 0)).astype(np.float32))
        worker = create_rec(parameters, str(file), package, -1, debug=True)
        began = time.perf_counter()
        worker.iterate()
        seconds = time.perf_counter() - began
        image, support = worker.get_image(), worker.get_support()
    as_numpy = [a.numpy() if hasattr(a, "numpy") else np.asarray(a) for a in (image, support)]
    # cohere goes to the detector with the inverse transform; its conjugate has the same pattern under the forward one
    return np.conj(as_numpy[0]).astype(np.complex64), as_numpy[1] > 0, float(worker.errs[-1]), seconds
