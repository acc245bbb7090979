import numpy as np
import pytest


@pytest.fixture
def save(tmp_path):
    """Save an array; ``save(values, "a.npy") -> path``."""

    def save_array(values, name="a.npy"):
        np.save(tmp_path / name, values)
        return str(tmp_path / name)

    return save_array
