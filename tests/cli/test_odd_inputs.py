"""Every file that a command reads is a regular one: pipes, devices and folders are refused at once, in one line."""

import os
import signal

import pytest

SECONDS = 20
PLACES = {
    "info": ("info", "X"),
    "import": ("import", "X", "-o", "OUT"),
    "mask": ("import", "M", "--mask", "X", "-o", "OUT"),
    "dark": ("import", "M", "--dark", "X", "-o", "OUT"),
    "whitefield": ("import", "M", "--whitefield", "X", "-o", "OUT"),
    "probe": ("import", "M", "--probe", "X", "-o", "OUT"),
    "scan file": ("import", "M", "--scan-file", "X", "--beamline", "aps_34idc", "-o", "OUT"),
    "measurement": ("reconstruct", "X", "-m", "er", "-o", "OUT"),
    "recipe": ("reconstruct", "M", "--recipe", "X", "-o", "OUT"),
    "init": ("reconstruct", "M", "-m", "er", "--init", "X", "-o", "OUT"),
    "support": ("reconstruct", "M", "-m", "er", "--support", "X", "-o", "OUT"),
    "checkpoint": ("reconstruct", "M", "-m", "cdi_nn", "--checkpoint", "X", "-o", "OUT"),
    "reconstruction": ("evaluate", "X", "--measurement", "M", "-o", "OUT.json"),
    "evaluate's measurement": ("evaluate", "M", "--measurement", "X", "-o", "OUT.json"),
    "truth": ("evaluate", "R", "--measurement", "M", "--truth", "X", "-o", "OUT.json"),
    "plot": ("plot", "X", "-o", "OUT.png"),
    "plot's checkpoint": ("plot", "X.pt", "--measurement", "M", "-o", "OUT.png"),
    "plot's metrics": ("plot", "X.json", "-o", "OUT.png"),
    "plot's curves": ("plot", "R", "--diagnostics", "OUT2.png", "--curves", "X.npz", "-o", "OUT.png"),
    "plot's training": ("plot", "X.tsv", "-o", "OUT.png"),
    "export": ("export", "X", "-o", "OUT.vti"),
    "runs": ("runs", "X"),
    "strain": ("strain", "X", "-o", "OUT"),
    "multipeak": ("multipeak", "X", "X", "-o", "OUT"),
    "uncertainty": ("uncertainty", "X", "--measurement", "M", "-o", "OUT"),
    "config": ("config", "X.yaml"),
    "table": ("table", "X.yaml", "t", "-o", "OUT.png"),
    "report": ("report", "X.yaml", "-o", "OUT.html"),
    "collect": ("collect", "X.json", "-o", "OUT.tsv"),
    "corpus": ("train", "cdi_nn", "--corpus", "FOLDER", "-o", "RUN"),
    "pairs": ("train", "cdi_nn", "--pairs", "X.npy", "X.npy", "-o", "RUN"),
    "weights to start from": ("train", "cdi_nn", "--corpus", "C", "--set", "start_from=X.pt", "-o", "RUN"),
    "training": ("train", "cdi_nn", "--corpus", "C", "--resume", "-o", "LAST"),
    "scene's masks": (
        "simulate",
        "polygons",
        "--set",
        "detector.mask.irregular=X.npy",
        "--set",
        "size=32",
        "-o",
        "OUT",
    ),
}
KINDS = {
    "pipe": os.mkfifo,
    "device": lambda place: os.symlink("/dev/zero", place),
    "endless noise": lambda place: os.symlink("/dev/urandom", place),
    "folder": os.mkdir,
}
SAID = ("not a regular file, but a ", "not a checkpoint", "not the plan of a corpus", "holds no mask file")
SUFFIXES = {"dark": ".npy", "whitefield": ".tif", "probe": ".npz", "mask": ".npy", "support": ".mat", "import": ".edf"}


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("valid")
    assert run(["simulate", "polygons", "--set", "size=32", "-o", str(folder / "M.cxi")]) == 0
    words = ["-m", "er", "--set", "iterations=2", "-o", str(folder / "R.cxi")]
    assert run(["reconstruct", str(folder / "M.cxi"), *words]) == 0
    assert run(["corpus", "polygons", "--count", "4", "--set", "size=32", "-o", str(folder / "C")]) == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused_in_one_line(cli, valid, tmp_path, place, kind):
    odd = {suffix: tmp_path / f"X{suffix}" for suffix in (".cxi", ".pt", ".json", ".npz", ".tsv", ".yaml", ".npy")}
    odd |= {suffix: tmp_path / f"X{suffix}" for suffix in SUFFIXES.values()}
    for name in ("corpus", "last"):
        (tmp_path / name).mkdir()
    for path in (*odd.values(), tmp_path / "corpus/plan.json", tmp_path / "last/last.pt"):
        KINDS[kind](path)
    names = {"M": valid / "M.cxi", "R": valid / "R.cxi", "C": valid / "C", "OUT": tmp_path / "OUT.cxi"}
    names |= {"FOLDER": tmp_path / "corpus", "LAST": tmp_path / "last", "RUN": tmp_path / "RUN"}
    names["X"] = odd[SUFFIXES.get(place, ".cxi")]

    def spelt(word: str) -> str:
        head, equals, tail = word.rpartition("=")
        if tail.startswith("X.") or tail in names:
            return head + equals + str(names.get(tail, tmp_path / tail))
        return str(tmp_path / word) if word.startswith("OUT") else word

    def too_long(*_):
        raise TimeoutError(f"{place} reads a {kind}")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        outcome = cli(*map(spelt, PLACES[place]))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert any(words in outcome.complaint for words in SAID)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("OUT")]
