import time

from cdipipe import progress as module
from cdipipe.progress import progress


def test_iterating_gives_every_item_and_no_line_for_quick_work(capsys):
    assert list(progress([3, 4], "reading")) == [3, 4]
    assert list(progress(3, "counting")) == [0, 1, 2]
    assert list(progress(iter("ab"), "unknown length")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_log_gets_plain_lines_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with progress(10, "phasing") as bar:
        for _ in range(4):
            bar.update(2, note="R 0.21")
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) < 4
    assert lines[0].startswith("phasing: ") and "/10 in " in lines[0] and lines[0].endswith("s left, R 0.21")


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for _ in progress(2, "phasing"):
        time.sleep(0.15)
    assert "phasing" in capsys.readouterr().err
