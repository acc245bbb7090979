"""``cdipipe replay``: a measurement as the stream of a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    measurement: Annotated[Path, typer.Argument(help="measurement, .cxi")],
    zmq: Annotated[str, typer.Option(help="where to send: tcp://127.0.0.1:PORT, a port of this computer")],
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="frames per second; not given: as they are taken")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="frames in all; not given: each pattern once")] = None,
    stream: Annotated[Literal["1", "2"], typer.Option(help="version: 1 JSON, 2 CBOR")] = "2",
    compression: Annotated[Literal["bslz4", "lz4", "none"], typer.Option(help="of the images")] = "bslz4",
    wait_s: Annotated[
        float, typer.Option(min=0, help="how long to wait for a receiver, and at the end for the rest")
    ] = 30.0,
) -> None:
    """Send the patterns of a measurement as a DECTRIS detector does, for tests of `cdipipe live zmq:...`.

    Ends when all frames are taken; whole counts only.
    """
    from cdipipe.io.cxi import read_measurement
    from cdipipe.live.send import send

    sent, seconds = send(read_measurement(measurement), zmq, rate, frames, int(stream), compression, wait_s)
    print(f"{zmq}: {sent} frames sent in {seconds:.2f} s, {sent / max(seconds, 1e-9):.4g} per second")
