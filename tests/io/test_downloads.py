"""Downloads from a server on this machine that plays GitHub."""

import hashlib
import http.server
import io
import json
import threading
from dataclasses import dataclass, field

import mutations
import numpy as np
import pytest
import tifffile

from cdipipe.errors import InputError
from cdipipe.io import datasets
from cdipipe.io.datasets import ArrayFile, Dataset, downloads
from cdipipe.io.importing.formats import read_array

FRAMES = np.stack([mutations.counts(np.random.default_rng(seed)) for seed in range(5)])
WHITE = np.random.default_rng(9).random((30, 30)).astype(np.float32)


def tif_bytes(values):
    memory = io.BytesIO()
    tifffile.imwrite(memory, values, metadata=None)
    return memory.getvalue()


@dataclass
class Server:
    """What is served, what was asked for, and which paths fail."""

    files: dict[str, bytes]
    listing: bytes
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    address: str = ""

    def answer(self, path: str) -> bytes | None:
        name = path.split("?")[0].rpartition("/")[2]
        self.asked.append(name)
        if name in self.failing:
            return None
        return self.listing if "/contents/" in path else self.files.get(name)


@pytest.fixture
def server(monkeypatch, tmp_path):
    files = {f"frame_{index:03d}.tif": tif_bytes(frame) for index, frame in enumerate(FRAMES)}
    blobs = {name: hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() for name, data in files.items()}
    entries = [{"name": name, "sha": sha} for name, sha in reversed(blobs.items())] + [{"name": "notes.txt", "sha": ""}]
    played = Server({**files, "white.tif": tif_bytes(WHITE)}, json.dumps(entries).encode())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if (body := played.answer(self.path)) is None:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    played.address = f"http://127.0.0.1:{listener.server_address[1]}"
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", played.address)
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    monkeypatch.setitem(datasets.DATASETS, "tiny", TINY)
    yield played
    listener.shutdown()
    listener.server_close()


TINY = Dataset(
    name="tiny",
    title="five frames",
    licence="CC0",
    credit="nobody",
    repository="owner/repository",
    commit="0123abc",
    frames_folder="data/scan 1",
    extra_files=("data/white.tif",),
    counts=ArrayFile("counts.npz", "counts", FRAMES.shape, "int32", downloads.array_sha256(FRAMES)),
    others=(ArrayFile("white.tif", None, WHITE.shape, "float32", downloads.array_sha256(WHITE)),),
    local_folder="tiny_local",
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_data_set_is_downloaded_once(server, tmp_path, cli):
    done = cli("fetch", "tiny")
    folder = tmp_path / "cache" / "tiny"
    assert done.code == 0 and done.out.splitlines()[0] == str(folder) and "licence: CC0" in done.out
    assert np.array_equal(read_array(folder / "counts.npz"), FRAMES)
    assert np.array_equal(read_array(folder / "white.tif"), WHITE)
    assert names_in(tmp_path / "cache") == ["tiny"] and "CC0" in (folder / "SOURCE.txt").read_text()
    asked = len(server.asked)
    assert downloads.fetch("tiny") == folder and len(server.asked) == asked


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path, cli):
    server.failing = {"frame_003.tif"}
    assert "HTTP 503" in cli("fetch", "tiny").complaint
    assert not (tmp_path / "cache" / "tiny").exists()
    server.failing, server.asked = set(), []
    downloads.fetch("tiny")
    assert [name for name in server.asked if name.startswith("frame")] == ["frame_003.tif", "frame_004.tif"]


def test_frames_that_arrive_damaged_are_not_kept(server, tmp_path, cli):
    server.files["frame_001.tif"] = server.files["frame_001.tif"][:-1] + b"x"
    assert "arrived damaged" in cli("fetch", "tiny").complaint
    assert "frame_001.tif" not in names_in(tmp_path / "cache" / "tiny.parts")


def test_other_content_is_refused_and_nothing_is_left(server, tmp_path, cli):
    server.files["white.tif"] = tif_bytes(WHITE + 1)
    assert "SHA-256 of the values" in cli("fetch", "tiny").complaint
    assert names_in(tmp_path / "cache") == []


def test_a_changed_stack_is_refused_and_nothing_is_left(server, tmp_path, monkeypatch, cli):
    from dataclasses import replace

    wrong = replace(TINY, counts=replace(TINY.counts, sha256="0" * 64))
    monkeypatch.setitem(datasets.DATASETS, "tiny", wrong)
    assert "published: 000000000000" in cli("fetch", "tiny").complaint
    assert names_in(tmp_path / "cache") == []


def test_files_are_taken_as_they_are_published_or_not_at_all(server, tmp_path, monkeypatch, cli):
    server.files = {"ring.h5": b"one", "raw.h5.gz": b"two"}
    contents = tuple((f"a/{name}", hashlib.sha256(data).hexdigest()) for name, data in server.files.items())
    whole = datasets.FileDataset("whole", "two files", "CC0", "nobody", "owner/repository", "0123abc", "none", contents)
    monkeypatch.setitem(datasets.DATASETS, "whole", whole)
    done = cli("fetch", "whole")
    folder = tmp_path / "cache" / "whole"
    assert done.code == 0 and names_in(folder) == ["SOURCE.txt", "raw.h5.gz", "ring.h5"]
    assert downloads.fetch("whole") == folder and server.asked == ["ring.h5", "raw.h5.gz"]
    (folder / "ring.h5").write_bytes(b"xne")  # damaged in the cache, and then at the source
    server.files["ring.h5"] = b"xxx"
    assert "published: " in cli("fetch", "whole").complaint
    assert names_in(tmp_path / "cache") == []


@pytest.mark.parametrize("listing", [b"not json", b"{}", b"[1]", b"[]", b'[{"name": "../../x.tif", "sha": "1"}]'])
def test_a_strange_listing_is_refused(server, tmp_path, cli, listing):
    server.listing = listing
    assert server.address in cli("fetch", "tiny").complaint
    assert names_in(tmp_path / "cache") == []


def test_no_server_is_one_line_and_leaves_nothing(server, tmp_path, monkeypatch, cli):
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", "http://127.0.0.1:1")
    assert "cannot be downloaded (ConnectionError)" in cli("fetch", "tiny").complaint
    assert names_in(tmp_path / "cache") == []


def test_a_damaged_copy_in_the_cache_is_replaced(server, tmp_path):
    folder = downloads.fetch("tiny")
    (folder / "counts.npz").write_bytes(b"broken")
    assert downloads.fetch("tiny") == folder and np.array_equal(read_array(folder / "counts.npz"), FRAMES)


def test_local_data_are_used_if_their_content_is_right(server, tmp_path, monkeypatch, cli):
    local = tmp_path / "data" / "tiny_local"
    local.mkdir(parents=True)
    monkeypatch.setenv("CDIPIPE_DATA_DIR", str(tmp_path / "data"))
    np.savez(local / "counts.npz", counts=FRAMES)
    tifffile.imwrite(local / "white.tif", WHITE)
    assert downloads.fetch("tiny") == local and datasets.dataset_folder("tiny") == local and not server.asked
    np.savez(local / "counts.npz", counts=FRAMES + 1)
    assert "SHA-256" in cli("fetch", "tiny").complaint


def test_the_list_and_unknown_names(cli):
    listed = cli("fetch", "--list")
    assert listed.code == 0 and "aps34idc_s54" in listed.out and "BSD 2-Clause" in listed.out
    assert "there is aps34idc_s54" in cli("fetch", "nothing").complaint
    assert "aps34idc_s54" in cli("fetch").complaint


def test_the_measured_crystal_at_hand_is_the_published_one(data_dir):
    assert downloads.fetch("aps34idc_s54") == data_dir / "aps34idc_bcdi_S54"


def test_values_of_another_type_are_refused():
    with pytest.raises(InputError, match="holds float64"):
        downloads.check_array(FRAMES.astype(float), TINY.counts, "there")
