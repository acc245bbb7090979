import os

import numpy as np
import pytest
from PIL import Image

from cdipipe.errors import InputError
from cdipipe.io.importing.mask_files import draw_mask
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture
def holes():
    return np.random.default_rng(0).random((5, 20, 27)) > 0.6


def drawn(source, count=60):
    return {draw_mask(source, np.random.default_rng(seed)).tobytes() for seed in range(count)}


def test_packed_plain_and_pictures_hold_the_same_masks(tmp_path, holes):
    np.savez(tmp_path / "packed.npz", packed=np.packbits(holes, axis=-1), shape=np.array(holes.shape))
    np.savez(tmp_path / "plain.npz", masks=holes)
    np.save(tmp_path / "bytes.npy", holes.astype(np.uint8) * 255)
    folder = tmp_path / "folder"
    folder.mkdir()
    for index, mask in enumerate(holes):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{index}.png")
    (folder / "readme.txt").write_text("not a mask")
    expected = {mask.tobytes() for mask in holes}
    for source in ("packed.npz", "plain.npz", "bytes.npy", "folder"):
        assert drawn(tmp_path / source) == expected
    one = draw_mask(tmp_path / "packed.npz", np.random.default_rng(3))
    assert one.dtype == bool and one.shape == (20, 27)


def test_grey_pictures_are_cut_at_the_share_that_dpr_states(tmp_path):
    grey = np.array([[0, 100, 150, 160, 255]] * 4, np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert draw_mask(tmp_path / "grey.png", np.random.default_rng(0))[0].tolist() == [False, False, False, True, True]


def simulate_with(source, **mask):
    polygons = get_scene("polygons")
    settings = {"size": 32, "detector": {"mask": {"irregular": str(source), **mask}}}
    return simulate(polygons, validate(polygons.parameters, settings, "polygons"))[0]


def test_a_scene_takes_masks_from_a_file(tmp_path):
    left = np.zeros((32, 32), np.uint8)
    left[:, :8] = 1
    np.save(tmp_path / "left.npy", left)
    straight = {"irregular_rotation_deg": 0}
    bright = simulate_with(tmp_path / "left.npy", **straight).measured
    np.testing.assert_array_equal(bright, left == 0)
    assert simulate_with(tmp_path / "left.npy", irregular_holes_are="dark", **straight).measured.all()  # hides 75 %
    dark = simulate_with(tmp_path / "left.npy", irregular_holes_are="dark", irregular_limit=0.8, **straight).measured
    np.testing.assert_array_equal(dark, left == 1)


def write_bad(path, kind):
    if kind == "missing":
        return
    if kind == "empty folder":
        path.mkdir()
    elif kind == "cut off":
        np.savez(path, packed=np.zeros((3, 8, 1), np.uint8), shape=[3, 8, 8])
        os.truncate(path, path.stat().st_size // 2)
    elif kind == "damaged inside":
        np.savez_compressed(
            path, packed=np.random.default_rng(0).integers(0, 255, (30, 64, 8), np.uint8), shape=[30, 64, 64]
        )
        content = bytearray(path.read_bytes())
        content[500:600] = bytes(100)
        path.write_bytes(content)
    elif kind == "shapes do not fit":
        np.savez(path, packed=np.zeros((3, 8, 1), np.uint8), shape=[4, 8, 8])
    elif kind == "one axis":
        np.save(path, np.zeros(7))
    elif kind == "objects":
        np.save(path, np.array([{}, None], object), allow_pickle=True)
    else:
        path.write_bytes(b"not a picture")


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("m.npz", "missing", "no file or folder"),
        ("folder", "empty folder", "no mask file"),
        ("m.txt", "text", "not a mask file"),
        ("m.npz", "cut off", "damaged"),
        ("m.npz", "damaged inside", "damaged"),
        ("m.npz", "shapes do not fit", "does not hold masks"),
        ("m.npy", "one axis", "should hold masks"),
        ("m.npy", "objects", "allowed"),
        ("m.png", "picture", "damaged picture"),
    ],
)
def test_bad_mask_files_are_named_in_one_line(tmp_path, name, kind, words):
    path = tmp_path / name
    write_bad(path, kind)
    with pytest.raises(InputError, match=words) as error:
        simulate_with(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_the_nvidia_masks_are_read(data_dir):
    source = data_dir / "irregular_masks" / "nvidia_test_masks_256_2000.npz"
    shares = [draw_mask(source, np.random.default_rng(seed)).mean() for seed in range(50)]
    assert 0.2 < np.mean(shares) < 0.4
    assert draw_mask(source, np.random.default_rng(0)).shape == (256, 256)
    assert not simulate_with(source).measured.all() or not simulate_with(source, irregular_limit=1).measured.all()
