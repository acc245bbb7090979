"""``cdipipe live``: frames of a detector to objects while they arrive."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from cdipipe.errors import InputError


def command(
    source: Annotated[str, typer.Argument(help="dir:PATH, zmq:tcp://HOST:PORT or replay:M.cxi?rate=500")],
    output: Annotated[Path, typer.Option("-o", "--output", help="results to write, .cxi, readable meanwhile")],
    method: Annotated[str, typer.Option("-m", "--method", help="one that predicts, see `cdipipe methods`")] = "cdi_nn",
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the method, repeated")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="network weights")] = None,
    then: Annotated[str, typer.Option(help="iterations after the prediction, such as 20*ER")] = "",
    then_every: Annotated[int, typer.Option(min=1, help="apply --then only to every N-th frame")] = 1,
    hits: Annotated[
        float | None, typer.Option(help="phase frames of this score or more: sigmas above empty frames; 5 is usual")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="measurement: treat frames as it was imported")] = None,
    importing: Annotated[
        list[str] | None, typer.Option("--import", help="option of `cdipipe import`, such as crop=128, repeated")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="frames that go through the method together, at most")] = 64,
    wait_ms: Annotated[float, typer.Option(min=0, help="longest time that a batch waits for more frames")] = 5.0,
    queue: Annotated[int, typer.Option(min=1, help="frames that may wait")] = 1024,
    when_full: Annotated[
        Literal["drop-oldest", "block"] | None,
        typer.Option(help="what a full queue does; not given: zmq drops, dir and replay wait"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="batches at a time; not given: one per core")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    idle_s: Annotated[float | None, typer.Option(help="end when no frame came for so long")] = None,
    page: Annotated[str | None, typer.Option(help="HOST:PORT of a page in the browser: 127.0.0.1:8050")] = None,
    page_open: Annotated[bool, typer.Option("--page-open", help="let other computers open the page, by a key")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the totals as JSON")] = False,
) -> None:
    """Reconstruct frames of a detector while they arrive.

    Ends with the source, with --idle-s, on Ctrl-C or SIGTERM; what has arrived by then is phased and written.
    """
    from cdipipe.live.registry import find_source
    from cdipipe.live.writer import check_new

    kind, address = find_source(source)
    check_new(output)
    chosen = _settings(settings or [], checkpoint)

    from cdipipe.live.corrections import options_from_words
    from cdipipe.live.engine import Engine
    from cdipipe.live.monitor import Monitor
    from cdipipe.live.phaser import check_iterations, check_method
    from cdipipe.live.plan import Plan
    from cdipipe.ops.device import choose_device
    from cdipipe.provenance import collect

    check_method(method, chosen)
    check_iterations(then)
    plan = Plan(
        chosen,
        options_from_words(importing or []),
        then,
        then_every,
        batch,
        wait_ms / 1e3,
        queue,
        when_full or kind.when_full,
        workers,
        choose_device(device),
        idle_s,
        _measurement(like),
    )
    inputs = [path for path in (like, checkpoint) if path is not None]
    monitor = Monitor(source, method, hits, queue)
    engine = Engine(kind.open(address), plan, output, monitor, {**collect(inputs), "live": {"source": source}})
    with _page(monitor, page, page_open), _ended_by_signals(engine) as ended_by:
        totals = engine.run()
    print(_json(totals) if as_json else summary(totals))
    if ended_by:
        raise SystemExit(128 + ended_by[0])  # all is written; typer.Exit would have it said that nothing was


def _settings(words: list[str], checkpoint: Path | None) -> dict:
    from cdipipe.settings import parse_settings

    chosen = parse_settings(words)
    if checkpoint is not None:
        chosen["checkpoint"] = str(checkpoint)
    return chosen


def _measurement(path: Path | None):
    from cdipipe.io.cxi import read_measurement

    return None if path is None else read_measurement(path)


def _page(monitor, address: str | None, is_open: bool):
    """The page of the run, where one is asked for; its address is told on stderr."""
    import sys

    if address is None:
        if is_open:
            raise InputError("--page-open goes with --page HOST:PORT")
        return contextlib.nullcontext()

    from cdipipe.live.page import make_page
    from cdipipe.phasing.registry import Predictor, all_methods

    methods = [name for name, method in all_methods().items() if isinstance(method, Predictor)]
    made = make_page(monitor, address, methods, is_open)
    print(f"live: page at {made.url}" + (f"; {made.warning}" if made.warning else ""), file=sys.stderr, flush=True)
    return made


@contextlib.contextmanager
def _ended_by_signals(engine) -> Iterator[list[int]]:
    """Meanwhile Ctrl-C and SIGTERM end the run in order; gives a list that gets the signals that came."""
    came: list[int] = []

    def handle(number, frame) -> None:
        came.append(number)
        engine.stop()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield came
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _json(totals: dict) -> str:
    import json

    return json.dumps(totals)


def summary(totals: dict) -> str:
    """The totals in one line."""
    parts = [f"{totals[name]} {name}" for name in ("received", "phased", "dropped")]
    parts += [f"{totals[name]} {name}" for name in ("skipped", "damaged", "missing") if totals[name]]
    if totals["patterns_per_s"] is not None:
        parts.append(f"{totals['patterns_per_s']:.4g} patterns/s")
    if totals["latency_p50_ms"] is not None:
        parts.append(f"p50 {totals['latency_p50_ms']:.4g} ms, p99 {totals['latency_p99_ms']:.4g} ms")
    return f"{totals['output'] or 'no frame came'}: " + ", ".join(parts)
