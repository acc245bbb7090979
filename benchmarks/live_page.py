"""What the browser page costs a live run: `cdi_nn` at 32^2 as fast as it goes, without page, with one, and watched.

    cdipipe bench live_page

Whoever watches is a process of its own that takes in ten rounds of pictures a second and draws nothing. ``rate`` are
patterns per second, ``processor`` seconds of the live process per 1000 patterns, both medians over the turns; ``page``
is what the thread of the page takes of a core.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Part, run_one

WATCH = """
import sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
messages = bytes_ = 0
try:
    with connect(f"ws://{sys.argv[1]}/live", origin=f"http://{sys.argv[1]}", max_size=None) as socket:
        while True:
            message = socket.recv()
            if isinstance(message, bytes):
                messages, bytes_ = messages + 1, bytes_ + len(message)
            else:
                socket.send('{"do": "seen"}')
except ConnectionClosed:
    print(messages, bytes_)
"""
FRAMES = 4000


def measure(turns: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        shots = Path(folder) / "M.cxi"
        simulate = "simulate polygons --set size=32 --set count=64 --set photons=1e6 -o"
        command = [sys.executable, "-m", "cdipipe.cli.main", *simulate.split(), str(shots)]
        subprocess.run(command, check=True, capture_output=True)
        variants = {"none": (False, False), "page": (True, False), "watched": (True, True)}
        found: dict[str, list[dict]] = {name: [] for name in variants}
        for turn in range(turns + 1):
            for name, (has_page, is_watched) in variants.items():
                took = run(shots, Path(folder) / f"{turn}_{name}.cxi", has_page, is_watched)
                if turn:  # the first is to warm up
                    found[name].append(took)
                    print(turn, name, took, flush=True)
    return {
        "frames": FRAMES,
        "turns": turns,
        **{name: {key: _median(all_, key) for key in all_[0]} for name, all_ in found.items()},
        "processor_over_none": {
            name: round(_median(found[name], "processor") / _median(found["none"], "processor"), 3)
            for name in ("page", "watched")
        },
        "spread": {
            key: {name: [min(values), max(values)] for name, values in _columns(found, key).items()}
            for key in ("rate", "processor")
        },
    }


def run(shots: Path, output: Path, has_page: bool, is_watched: bool) -> dict:
    """One live run in this process."""
    from cdipipe.io.importing.options import ImportOptions
    from cdipipe.live.engine import Engine
    from cdipipe.live.monitor import Monitor
    from cdipipe.live.page import make_page
    from cdipipe.live.plan import Plan
    from cdipipe.live.registry import find_source

    kind, address = find_source(f"replay:{shots}?frames={FRAMES}")
    monitor = Monitor(str(shots), "cdi_nn", None, 1024)
    engine = Engine(kind.open(address), Plan({}, ImportOptions()), output, monitor, {})
    page = make_page(monitor, "127.0.0.1:0") if has_page else None
    watcher = None
    if page is not None:
        page.start()
    if is_watched:
        place = page.url.removeprefix("http://").rstrip("/")
        watcher = subprocess.Popen([sys.executable, "-c", WATCH, place], stdout=subprocess.PIPE, text=True)
        while not page.is_watched:
            time.sleep(0.01)
    before, began, clock = time.process_time(), time.perf_counter(), None
    if page is not None:
        clock = time.pthread_getcpuclockid(page.thread_ident)
        of_page = time.clock_gettime(clock)
    totals = engine.run()
    seconds, spent = time.perf_counter() - began, time.process_time() - before
    took = {"rate": totals["patterns_per_s"], "processor": round(spent * 1000 / FRAMES, 3)}
    took["p99_ms"] = totals["latency_p99_ms"]
    if page is not None:
        took["page"] = round((time.clock_gettime(clock) - of_page) / seconds, 4)
        page.stop()
    if watcher is not None:
        messages, size = map(int, watcher.communicate()[0].split())
        took |= {"messages_per_s": round(messages / seconds, 1), "megabytes_per_s": round(size / seconds / 1e6, 2)}
    output.unlink()
    return took


def _median(all_: list[dict], key: str) -> float:
    return round(statistics.median(took[key] for took in all_), 4)


def _columns(found: dict[str, list[dict]], key: str) -> dict[str, list[float]]:
    return {name: [took[key] for took in all_] for name, all_ in found.items()}


if __name__ == "__main__":
    run_one(__doc__, {"live_page": Part(measure, "live_page", 5)})
