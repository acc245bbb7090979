"""EMNIST and CIFAR-100: small archives of the published layout, from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.datasets import archives

TRAIN, TEST = 6, 3


def idx(images):
    return b"\0\0\x08\x03" + np.array(images.shape, ">u4").tobytes() + images.tobytes()


def emnist_bytes(train, test, name="gzip/emnist-balanced-{}-images-idx3-ubyte.gz", evil=False):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as whole:
        whole.writestr("gzip/emnist-letters-train-images-idx3-ubyte.gz", b"not wanted")
        for split, content in (("train", train), ("test", test)):
            whole.writestr(name.format(split), gzip.compress(content))
        if evil:
            whole.writestr("../../escaped.txt", b"gone")
    return memory.getvalue()


def cifar_bytes(train, test, evil=False):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as whole:
        files = {"cifar-100-binary/fine_label_names.txt": b"apple\n", "cifar-100-binary/train.bin": train}
        files |= {"cifar-100-binary/test.bin": test}
        if evil:
            files["../../escaped.txt"] = b"gone"
        for name, content in files.items():
            if isinstance(content, bytes):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                whole.addfile(member, io.BytesIO(content))
            else:
                whole.addfile(content)
    return memory.getvalue()


@functools.cache
def characters(count):
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def records(count):
    return np.random.default_rng(count).integers(0, 256, (count, 3074), dtype=np.uint8)


GOOD = {
    "emnist": emnist_bytes(idx(characters(TRAIN)), idx(characters(TEST)), evil=True),
    "cifar100": cifar_bytes(records(TRAIN).tobytes(), records(TEST).tobytes(), evil=True),
}


def publish(monkeypatch, name, content, md5=None):
    """Let ``content`` be the published archive."""
    md5 = md5 or hashlib.md5(content).hexdigest()
    monkeypatch.setitem(
        archives.IMAGE_ARCHIVES, name, replace(archives.IMAGE_ARCHIVES[name], md5=md5, train=TRAIN, test=TEST)
    )


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Files by name, served; the cache is empty."""
    files: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            asked.append(name)
            if name not in files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[name])))
            self.end_headers()
            self.wfile.write(files[name])

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", f"http://127.0.0.1:{listener.server_address[1]}")
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    yield files, asked
    listener.shutdown()
    listener.server_close()


def serve(server, monkeypatch, name, content, **more):
    server[0][archives.IMAGE_ARCHIVES[name].file] = content
    publish(monkeypatch, name, content, **more)


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["emnist", "cifar100"])
def test_an_archive_is_fetched_once_and_nothing_leaves_the_folder(server, monkeypatch, tmp_path, cli, name):
    serve(server, monkeypatch, name, GOOD[name])
    done = cli("fetch", name)
    assert done.code == 0 and "licence: none stated" in done.out and str(tmp_path / "cache" / name) in done.out
    assert everything_below(tmp_path) == [f"cache/{name}/SOURCE.json", f"cache/{name}/images.npy"]
    images = archives.load_images(name)
    assert images.dtype == np.uint8 and images.shape == (TRAIN + TEST, *(2 * [archives.IMAGE_ARCHIVES[name].side]))
    asked = len(server[1])
    assert cli("fetch", name).code == 0 and len(server[1]) == asked


def test_emnist_is_turned_upright_and_cifar_is_grey(server, monkeypatch):
    for name in GOOD:
        serve(server, monkeypatch, name, GOOD[name])
        archives.fetch_images(name)
    expected = np.concatenate([characters(TRAIN), characters(TEST)]).transpose(0, 2, 1)
    np.testing.assert_array_equal(archives.load_images("emnist"), expected)
    colours = np.concatenate([records(TRAIN), records(TEST)])[:, 2:].reshape(-1, 3, 32, 32)
    grey = np.tensordot(colours, [0.299, 0.587, 0.114], (1, 0))
    assert np.abs(archives.load_images("cifar100") - grey).max() <= 0.51


def test_an_archive_from_by_hand_is_checked_alike(server, monkeypatch, tmp_path, cli):
    publish(monkeypatch, "emnist", GOOD["emnist"])
    (tmp_path / "mine.zip").write_bytes(GOOD["emnist"])
    assert cli("fetch", "emnist", "--archive", tmp_path / "mine.zip").code == 0 and not server[1]
    (tmp_path / "other.zip").write_bytes(GOOD["emnist"] + b"x")
    assert "MD5" in cli("fetch", "emnist", "--archive", tmp_path / "other.zip").complaint
    assert "no such file" in cli("fetch", "emnist", "--archive", tmp_path / "none.zip").complaint
    assert "--archive is for" in cli("fetch", "aps34idc_s54", "--archive", tmp_path / "mine.zip").complaint
    assert len(archives.load_images("emnist")) == TRAIN + TEST


def link_member():
    member = tarfile.TarInfo("cifar-100-binary/train.bin")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("emnist", b"no archive", "zip"),
        ("emnist", GOOD["emnist"][:-30], "zip"),
        ("emnist", emnist_bytes(b"", b""), "ends after"),
        ("emnist", emnist_bytes(idx(characters(TRAIN + 1)), idx(characters(TEST))), "is not an idx file of 6"),
        ("emnist", emnist_bytes(idx(characters(TRAIN)) + b"x", idx(characters(TEST))), "more than"),
        ("emnist", emnist_bytes(idx(characters(TRAIN))[:-5], idx(characters(TEST))), "are expected"),
        ("emnist", emnist_bytes(b"", b"", name="gzip/emnist-letters-{}.gz"), "is missing"),
        ("cifar100", b"no archive", "gzip"),
        ("cifar100", GOOD["cifar100"][:-200], "cifar"),
        ("cifar100", cifar_bytes(records(TRAIN).tobytes(), b"short"), "are expected"),
        ("cifar100", cifar_bytes(records(TRAIN + 1).tobytes(), records(TEST).tobytes()), "more than"),
        ("cifar100", cifar_bytes(link_member(), records(TEST).tobytes()), "not a plain file"),
    ],
)
def test_archives_that_cannot_be_read_are_one_line_and_leave_nothing(
    server, monkeypatch, tmp_path, cli, name, content, word
):
    serve(server, monkeypatch, name, content)
    assert word in cli("fetch", name).complaint
    assert everything_below(tmp_path) == []


def test_another_archive_and_no_archive_are_one_line(server, monkeypatch, tmp_path, cli):
    serve(server, monkeypatch, "emnist", GOOD["emnist"], md5="0" * 32)
    assert "MD5" in cli("fetch", "emnist").complaint
    assert "HTTP 404" in cli("fetch", "cifar100").complaint
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", "http://127.0.0.1:1")
    assert "cannot be downloaded" in cli("fetch", "emnist").complaint
    assert everything_below(tmp_path) == []


def test_images_not_fetched_or_damaged_are_one_line_that_helps(server, monkeypatch, tmp_path, cli):
    simulate = ("simulate", "pseudo_objects", "-o", tmp_path / "m.cxi", "--set", "size=64", "--set", "shapes=emnist")
    assert "run `cdipipe fetch emnist`" in cli(*simulate).complaint
    serve(server, monkeypatch, "emnist", GOOD["emnist"])
    folder = archives.fetch_images("emnist")
    assert cli(*simulate).code == 0
    content = bytearray((folder / "images.npy").read_bytes())
    content[500] ^= 1
    (folder / "images.npy").write_bytes(content)
    assert "damaged" in cli(*simulate).complaint
    (folder / "SOURCE.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="damaged"):
        archives.load_images("emnist")
    archives.fetch_images("emnist")
    assert cli(*simulate).code == 0


def test_published_addresses_and_hashes():
    assert archives.EMNIST.md5 == "58c8d27c78d21e728a6bc7b3cc06412e" and archives.EMNIST.url.startswith("https://")
    assert archives.CIFAR100.md5 == "03b5dce01913d631647c71ecec9e9cb8" and "binary" in archives.CIFAR100.url
