"""Fixtures for all tests: measured data, and the command line in this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the measured data (``CDIPIPE_DATA_DIR``); skips without the variable, fails if it leads nowhere."""
    folder = os.environ.get("CDIPIPE_DATA_DIR")
    if not folder:
        pytest.skip("measured data: CDIPIPE_DATA_DIR is not set")
    assert Path(folder).is_dir(), f"CDIPIPE_DATA_DIR={folder} is not a folder"
    return Path(folder)


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an input error; fails if it is anything else."""
        assert self.code == 2, (self.code, self.out, self.err)
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("cdipipe: "), self.err
        return lines[0]


@pytest.fixture
def cli(capfd):
    """Run a command in this process: ``cli("info", path) -> Outcome``."""
    from cdipipe.cli.main import run

    def run_command(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_command


@pytest.fixture(params=[(48, 48), (45, 50), (16, 18, 20)], ids=str)
def known(request):
    """(Measurement without noise, object, support)."""
    import numpy as np
    import torch
    from objects import make_object

    from cdipipe.measurement import Measurement
    from cdipipe.optics import fourier

    object_, support = make_object(request.param)
    ndim = object_.ndim
    intensity = fourier.forward(torch.from_numpy(object_), ndim).abs().square().numpy()
    stack = "single" if ndim == 2 else "volume"
    return Measurement(intensity, np.ones(intensity.shape, bool), stack), object_, support
