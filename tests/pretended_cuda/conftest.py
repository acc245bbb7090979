"""The device that is not there, for the length of a test."""

import sys
from pathlib import Path

import pytest
from pretended import pretend

sys.path.insert(0, str(Path(__file__).parents[1] / "phasing"))


@pytest.fixture
def gpu():
    """A pretended GPU; what is launched and waited for is counted."""
    from cdipipe.networks.denoiser import inference

    with pretend() as counts:
        yield counts
    inference._load.cache_clear()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """For the weights of untrained networks."""
    return tmp_path_factory.mktemp("networks")
