"""Checkpoints: round trip, and every way in which a file is not one."""

import zipfile
from dataclasses import replace

import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from cdipipe.networks.registry import get_network
from cdipipe.settings import validate


@pytest.fixture
def checkpoint():
    network = get_network("cdi_nn")
    settings = validate(network.settings, {"network": {"widths": [2, 4], "input_gain": 77}}, "test")
    return Checkpoint(network, settings, network.build(settings.network).state_dict(), {"digest": "abc"}, {"steps": 3})


@pytest.fixture
def file(checkpoint, tmp_path):
    write_checkpoint(tmp_path / "net.pt", checkpoint)
    return tmp_path / "net.pt"


def test_round_trip_with_the_input_scaling(checkpoint, file):
    found = read_checkpoint(file, "cdi_nn")
    assert found.settings == checkpoint.settings and found.settings.network.input_gain == 77
    assert found.corpus == {"digest": "abc"} and found.scores == {"steps": 3} and found.training == {}
    module = found.build()
    assert not module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, checkpoint.weights[name])


def test_half_precision_is_widened(checkpoint, tmp_path):
    halved = {name: value.half() for name, value in checkpoint.weights.items()}
    write_checkpoint(tmp_path / "half.pt", replace(checkpoint, weights=halved))
    weights = read_checkpoint(tmp_path / "half.pt").weights
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_another_network_and_another_version(checkpoint, file, tmp_path):
    with pytest.raises(InputError, match="a checkpoint of 'cdi_nn'; expected one of 'cdi_nn_3d'"):
        read_checkpoint(file, "cdi_nn_3d")
    newer = replace(checkpoint, network=replace(checkpoint.network, version=99))
    write_checkpoint(tmp_path / "newer.pt", newer)
    with pytest.raises(InputError, match="made for version 99 of cdi_nn; expected version 1"):
        read_checkpoint(tmp_path / "newer.pt")


def test_weights_of_another_shape(checkpoint):
    odd = {**checkpoint.weights, "layers.0.weight": torch.zeros(1)}
    with pytest.raises(InputError, match=r"do not fit the settings, first 'layers\.0\.weight'"):
        replace(checkpoint, weights=odd).build()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="cut short"):
        read_checkpoint(file)


def test_damaged_inside(file):
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content[:20] if name.endswith("data.pkl") else content)
    with pytest.raises(InputError, match=r"damaged|pickled|not a checkpoint"):
        read_checkpoint(file)


class Evil:
    """Would leave a file behind if it were ever unpickled."""

    def __reduce__(self):
        import os

        return os.mkdir, ("evil",)


def test_pickled_code_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "cdipipe checkpoint 1", "weights": Evil()}, "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt: holds pickled code, which is never run"):
        read_checkpoint("evil.pt")
    assert not (tmp_path / "evil").exists()


def test_files_of_other_kinds(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    with pytest.raises(InputError, match="not a checkpoint of cdipipe"):
        read_checkpoint(tmp_path / "foreign.pt")
    torch.save({"format": "cdipipe checkpoint 1"}, tmp_path / "hollow.pt")
    with pytest.raises(InputError, match="hollow"):
        read_checkpoint(tmp_path / "hollow.pt")
