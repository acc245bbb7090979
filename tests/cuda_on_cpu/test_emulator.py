"""What the emulator promises: orders, limits of a device, poisoned shared memory, barriers."""

import ctypes
import math

import pytest
from emulator.build import HERE, compile_cpp, compile_cuda, link

WHO_COMES, NOTHING, NEIGHBOURS, WHAT_IS_SHARED, DIFFERENT_BARRIERS, ONE_TOO_FAR, TOO_MUCH = range(7)
FINE, CONFIGURATION, HANDLE, RESOURCES, FAILURE = 0, 9, 400, 701, 719


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """probe(kernel, data, grid, block, shared bytes, number): CUDA's error code of a launch of probe.cu."""
    folder = tmp_path_factory.mktemp("probe")
    objects = [compile_cuda(HERE.parent / "probe.cu", folder), compile_cpp(HERE / "runtime.cpp", folder)]
    library = ctypes.CDLL(str(link(objects, folder / "probe.so")))

    def launch(kernel, data=None, grid=(1, 1, 1), block=(1, 1, 1), shared=0, number=0):
        return library.probe(kernel, data, (ctypes.c_int * 8)(*grid, *block, shared, number))

    return launch


def order_of(probe, order, monkeypatch):
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    data = (ctypes.c_int * 1000)()
    assert probe(WHO_COMES, data, (3, 2, 1), (4, 5, 1)) == FINE
    assert data[0] == 120
    return data[1:121]


@pytest.fixture(autouse=True)
def any_stream(monkeypatch):
    monkeypatch.delenv("CUDA_ON_CPU_STREAM")


def test_a_launch_on_another_stream_is_refused(probe, monkeypatch):
    assert probe(NOTHING) == FINE
    monkeypatch.setenv("CUDA_ON_CPU_STREAM", "7")
    assert probe(NOTHING) == HANDLE


def test_orders(probe, monkeypatch):
    assert order_of(probe, "forward", monkeypatch) == list(range(120))
    assert order_of(probe, "reverse", monkeypatch) == list(range(119, -1, -1))
    mixed = order_of(probe, "random", monkeypatch)
    assert sorted(mixed) == list(range(120)) != mixed
    blocks = [thread // 20 for thread in mixed[::20]]
    assert [thread // 20 for thread in mixed] == [block for block in blocks for _ in range(20)]
    assert order_of(probe, "random", monkeypatch) != mixed


def test_edges_of_a_grid(probe, monkeypatch):
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", "forward")
    monkeypatch.setenv("CUDA_ON_CPU_BLOCKS", "edges")
    data = (ctypes.c_int * 100)()
    assert probe(WHO_COMES, data, (2**24 + 5, 1, 1)) == FINE
    powers = [power + side for k in range(2, 25) for power in [2**k] for side in (-1, 0)]
    assert data[1 : data[0] + 1] == [0, 1, *powers, 2**24 + 3, 2**24 + 4]


@pytest.mark.parametrize(
    ("grid", "block", "shared", "answer"),
    [
        ((1, 65535, 65535), (128, 1, 1), 49152, FINE),
        ((2**31 - 1, 1, 1), (1, 2, 64), 0, FINE),
        ((0, 1, 1), (1, 1, 1), 0, CONFIGURATION),
        ((-(2**31), 1, 1), (1, 1, 1), 0, CONFIGURATION),
        ((1, 65536, 1), (1, 1, 1), 0, CONFIGURATION),
        ((1, 1, 65536), (1, 1, 1), 0, CONFIGURATION),
        ((1, 1, 1), (1, 0, 1), 0, CONFIGURATION),
        ((1, 1, 1), (1025, 1, 1), 0, CONFIGURATION),
        ((1, 1, 1), (32, 33, 1), 0, CONFIGURATION),
        ((1, 1, 1), (1, 1, 65), 0, CONFIGURATION),
        ((1, 1, 1), (1, 1, 1), 49153, CONFIGURATION),
        ((1, 1, 1), (129, 1, 1), 0, RESOURCES),
    ],
    ids=str,
)
def test_limits_of_a_launch(probe, monkeypatch, grid, block, shared, answer):
    monkeypatch.setenv("CUDA_ON_CPU_BLOCKS", "edges")
    assert probe(NOTHING, None, grid, block, shared) == answer
    assert probe(NOTHING) == FINE  # the error was forgotten


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_a_barrier_lets_threads_see_each_other(probe, monkeypatch, order):
    monkeypatch.setenv("CUDA_ON_CPU_ORDER", order)
    data = (ctypes.c_float * 64)()
    assert probe(NEIGHBOURS, data, number=1) == FINE
    assert data[:] == [63 - i for i in range(64)]
    assert probe(NEIGHBOURS, data, number=0) == FINE
    assert any(map(math.isnan, data))


def test_shared_memory_begins_as_nan_in_every_block(probe):
    data = (ctypes.c_float * 6)()
    assert probe(WHAT_IS_SHARED, data, (3, 1, 1)) == FINE
    assert all(map(math.isnan, data))


def test_different_barriers_are_told(probe, capfd):
    assert probe(DIFFERENT_BARRIERS, block=(8, 1, 1)) == FAILURE
    assert "threads of one block wait at different barriers, one at" in capfd.readouterr().err
    assert probe(DIFFERENT_BARRIERS, block=(5, 1, 1)) == FINE


def test_the_frame_of_a_shared_array_is_told(probe, capfd):
    assert [probe(ONE_TOO_FAR, number=at) for at in (0, 3, 4, -1)] == [FINE, FINE, FAILURE, FAILURE]
    assert "one_too_far: writes beyond a shared array" in capfd.readouterr().err


def test_shared_memory_of_a_block_is_limited(probe, capfd):
    assert [probe(TOO_MUCH, shared=bytes) for bytes in (1152, 1153)] == [FINE, FAILURE]
    assert "uses 49153 bytes of shared memory" in capfd.readouterr().err
