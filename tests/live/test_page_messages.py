"""What is sent to the page: layout, pictures, history; and where the page may listen."""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import replace

import driven
import matplotlib
import numpy as np
import pytest

import cdipipe.live.page
from cdipipe.errors import InputError
from cdipipe.live.monitor import Controls, Monitor, Snapshot
from cdipipe.live.page.address import is_same_page, may_ask, parse_address
from cdipipe.live.page.history import COLUMNS, History
from cdipipe.live.page.hub import Hub
from cdipipe.live.page.messages import MAX_WISH_BYTES, Method, Pause, Threshold, pack, read_wish, unpack
from cdipipe.live.page.pictures import Frame, binned, object_bytes, pattern_bytes


def test_a_message_gives_back_what_went_in_aligned_for_typed_arrays():
    arrays = {f"a{n}": np.arange(n * 3, dtype="u1" if n % 2 else "f4").reshape(n, 3) for n in range(7)}
    message = pack("now", {"ü": "€", "nan": float("nan"), "list": [(1, np.float32(2.5), np.inf)]}, arrays)
    text, found = unpack(message)
    assert text == {"kind": "now", "ü": "€", "nan": None, "list": [[1, 2.5, None]]}
    assert found.keys() == arrays.keys() and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    starts = [int(n) for n in re.findall(rb'"offset": (\d+)', message)]
    assert len(starts) == 7 and all(start % 8 == 0 for start in starts)
    with pytest.raises(ValueError, match="not a message"):
        unpack(b"PNG" + message)


def test_pattern_codes_are_logarithms_and_zero_is_unmeasured():
    photons = np.array([[0, 1, 10, 100, 1000, 1e9]], np.float32)
    measured = np.array([[True] * 5 + [False]])
    codes, scale = pattern_bytes(photons, measured)
    assert scale == {"low": 0.5, "high": 1000.0}
    assert codes[0, 0] == 1 and codes[0, 4] == 255 and codes[0, 5] == 0
    steps = np.diff(codes[0, 1:5].astype(int))
    assert np.ptp(steps) <= 1  # equal factors are equal steps
    assert pattern_bytes(np.zeros((3, 3), np.float32), np.ones((3, 3), bool))[0].max() == 1
    assert pattern_bytes(np.full((3, 3), np.nan, np.float32), np.zeros((3, 3), bool))[0].max() == 0


def test_binning_leaves_the_unmeasured_out_of_the_mean():
    photons = np.full((512, 512), 8.0, np.float32)
    measured = np.ones((512, 512), bool)
    measured[::2] = False
    measured[:2, :2] = False
    codes, scale = pattern_bytes(photons, measured, 256)
    assert codes.shape == (256, 256) and codes[0, 0] == 0 and scale["high"] == 10
    assert np.unique(codes[1:]).size == 1  # a half-measured square has the mean of what was measured
    assert np.array_equal(binned(np.arange(20.0).reshape(4, 5), 2), [[3, 5], [13, 15]])


def test_object_codes_have_no_global_phase():
    random = np.random.default_rng(0)
    values = random.uniform(1, 2, (20, 20)) * np.exp(1j * random.uniform(-0.4, 0.4, (20, 20)))
    amplitude, phase, scale = object_bytes(values)
    turned = object_bytes(values * np.exp(2.5j))
    assert np.array_equal(amplitude, turned[0]) and np.abs(phase.astype(int) - turned[1]).max() <= 1
    found = amplitude / 255 * scale["high"] * np.exp(1j * (phase.astype(float) - 128) / 128 * np.pi)
    mean = np.angle(np.sum(np.abs(values) * values))
    inside = np.abs(values) < scale["high"]
    assert np.allclose(found[inside], (values * np.exp(-1j * mean))[inside], atol=0.04)
    assert object_bytes(np.zeros((4, 4), np.complex64))[0].max() == 0
    assert object_bytes(np.full((4, 4), np.nan + 0j))[0].max() == 0


def test_the_frame_around_objects_is_square_and_only_grows():
    frame, size = Frame(), 64
    small, other = np.zeros((2, size, size), complex)
    small[30:34, 28:38] = 1
    other[20:30, 30:34] = 1
    first = frame.cut(small, "a")
    assert first.shape[0] == first.shape[1] < size and np.count_nonzero(first) == 40
    second = frame.cut(other, "a")
    assert second.shape[0] > first.shape[0] and np.count_nonzero(second) == 40
    assert frame.cut(small, "a").shape == second.shape
    assert frame.cut(small, "b").shape == first.shape  # another method, another frame
    assert Frame().cut(np.zeros((8, 8), complex), "a").shape == (8, 8)


def test_history_joins_neighbours_and_keeps_the_whole_run():
    history, r_factors = History(8), np.linspace(0.1, 0.3, 11).astype(np.float32)
    for step in range(1, 41):
        seen = Snapshot(seconds=step, received=100 * step, phased=11 * step, dropped=step, looked=100 * step)
        seen = replace(seen, skipped=89 * step, r_factors=r_factors, numbers=np.arange(11), latency_p50_s=0.01)
        history.add(seen)
        assert len(history.rows) < 8
    rows = {name: history.rows[:, i] for i, name in enumerate(COLUMNS)}
    assert rows["seconds"][0] < 5 and rows["seconds"][-1] > 34 and (np.diff(rows["seconds"]) > 0).all()
    for name, value in {"in_hz": 100, "out_hz": 11, "dropped_hz": 1, "hit_rate": 0.11, "p50_s": 0.01}.items():
        assert np.allclose(rows[name], value), name
    assert np.allclose(rows["r_middle"], 0.2) and np.allclose(rows["r_low"], 0.12) and np.allclose(rows["r_high"], 0.28)
    assert np.isnan(rows["photons_middle"]).all()


def test_a_pause_has_no_hit_rate():
    history = History()
    history.add(Snapshot(seconds=1, skipped=50, controls=Controls(is_paused=True)))
    assert np.isnan(history.rows[0, COLUMNS.index("hit_rate")])


def test_hub_sends_every_kind_and_nothing_twice():
    monitor = Monitor("replay:a.cxi", "cdi_nn", None, 64)
    hub = Hub(monitor, ["cdi_nn", "dpr"])
    hub.refresh()
    assert hub.latest == {}  # nobody looks
    hub.watchers = 1
    hub.refresh()
    assert unpack(hub.latest["now"])[0]["number"] == -1 and unpack(hub.latest["hits"])[0]["hits"] == []
    monitor.note_received(20, 0)
    monitor.note_results(driven.results(0, 20), 0)
    hub.refresh(1)
    text, arrays = unpack(hub.latest["now"])
    assert (text["number"], text["phased"], text["methods"]) == (19, 20, ["cdi_nn", "dpr"])
    assert arrays["pattern"].shape == (32, 32) and (arrays["pattern"][:, 22] == 0).all()
    assert arrays["amplitude"].shape == arrays["phase"].shape
    hits, stacks = unpack(hub.latest["hits"])
    assert [hit["number"] for hit in hits["hits"]] == list(range(19, 7, -1)) and len(stacks["phases"]) == 12
    before = dict(hub.latest)
    hub.refresh(2)
    assert all(hub.latest[kind] is before[kind] for kind in before)
    monitor.note_state("ended")
    hub.refresh(3)
    assert hub.has_ended and unpack(hub.latest["now"])[0]["state"] == "ended"


def test_large_frames_make_small_messages():
    monitor, size = Monitor(), 1100
    values = np.ones((1, size, size), np.complex64)
    fields = {"patterns": np.ones((1, size, size), np.float32), "objects": values, "supports": values.real > 0}
    monitor.note_results(driven.results(0, 1, **fields, measured=np.ones((size, size), bool)), 0)
    hub = Hub(monitor)
    hub.watchers = 1
    hub.refresh()
    assert sum(map(len, hub.latest.values())) < 250_000


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ('{"do": "pause", "is_paused": true}', Pause(do="pause", is_paused=True)),
        ('{"do": "method", "method": "dpr"}', Method(do="method", method="dpr")),
        ('{"do": "threshold", "hit_threshold": null}', Threshold(do="threshold", hit_threshold=None)),
        ('{"do": "threshold", "hit_threshold": 3}', Threshold(do="threshold", hit_threshold=3.0)),
    ],
)
def test_wishes_are_read(text, wish):
    assert read_wish(text) == wish


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '"pause"', '{"do": "stop"}', '{"do": "pause"}', '{"do": "pause", "is_paused": 1}'),
        *('{"do": "pause", "is_paused": true, "path": "/etc/passwd"}', '{"do": "method", "method": ["a"]}'),
        *('{"do": "threshold", "hit_threshold": NaN}', '{"do": "threshold", "hit_threshold": 1e999}', "[" * 900),
        *('{"do": "threshold", "hit_threshold": "5"}', '{"do": "method", "method": ""}', "\ud800"),
        '{"do": "method", "method": "' + "a" * 65 + '"}',
    ],
)
def test_what_is_no_wish_is_refused(text):
    assert len(text) <= MAX_WISH_BYTES
    with pytest.raises(ValueError):
        read_wish(text)


def test_only_this_computer_unless_told_so():
    for text in ("127.0.0.1:8050", "localhost:8050", "[::1]:8050", "127.1.2.3:8050", "8050", ":8050"):
        address = parse_address(text)
        assert address.is_loopback and address.port == 8050 and not address.key
    for text in ("0.0.0.0:8050", "[::]:8050", "beamline.example:8050", "10.0.0.1:8050"):
        with pytest.raises(InputError, match="--page-open"):
            parse_address(text)
        address = parse_address(text, is_open=True)
        assert not address.is_loopback and len(address.key) > 20 and address.key in address.url(8050)
        assert address.key not in repr(address) + str(address)
    for text in ("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:80500", "127.0.0.1:-1", "a:b", "127.0.0.1:٣"):
        with pytest.raises(InputError, match="HOST:PORT"):
            parse_address(text)


def test_a_port_in_use_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"127.0.0.1:{port}: .*in use"):
            parse_address(f"127.0.0.1:{port}").listen()
    with pytest.raises(InputError, match="--page"):
        parse_address("no.such.host.invalid:0", is_open=True).listen()


def test_names_and_origins():
    here = parse_address("127.0.0.1:8050")
    assert all(
        may_ask(host, here)
        for host in ("127.0.0.1:8050", "127.1.2.3:8050", "localhost:9000", "[::1]:8050", "LOCALHOST")
    )
    assert not any(may_ask(host, here) for host in (None, "", "evil.example", "127.0.0.1.evil.example:8050", "[::2]:1"))
    assert is_same_page("http://localhost:9000", "localhost:9000")
    wrong = [
        None,
        "",
        "null",
        "http://evil.example",
        "http://localhost:9001",
        "file://localhost:9000",
        "localhost:9000",
    ]
    assert not any(is_same_page(origin, "localhost:9000") for origin in wrong)


def test_colours_are_those_of_the_figures():
    from importlib import resources

    text = (resources.files(cdipipe.live.page) / "static/colours.js").read_text()
    steps = {"PATTERN": ("inferno", 255), "AMPLITUDE": ("viridis", 255), "PHASE": ("twilight_shifted", 256)}
    for name, (colours, last) in steps.items():
        data = "".join(re.findall(r'"(.*)"', re.search(rf"{name} = table\((.*?)\);", text, re.DOTALL)[1]))
        found = np.frombuffer(base64.b64decode(data), np.uint8).reshape(256, 3)
        expected = np.round(255 * matplotlib.colormaps[colours](np.arange(256) / last)[:, :3])
        assert np.array_equal(found, expected)
