"""Messages of DECTRIS detectors (SIMPLON stream), as they are written for replays; see :mod:`cdipipe.live.dectris`."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np

from cdipipe.live.dectris import COMPRESSED, FACTS_CBOR, FACTS_JSON, MULTI_DIMENSIONAL, SELF_DESCRIBED
from cdipipe.live.dectris_compression import Compression, compress


class Writer:
    """Messages of one series as a detector sends them.

    Parameters
    ----------
    version : 1 (JSON) or 2 (CBOR)
    compression : of the images
    series : number of the series
    facts : ``energy_ev``, ``distance_m``, ``pixel_x_m``, ``pixel_y_m``, as far as they are known
    """

    def __init__(self, version: Literal[1, 2], compression: Compression = "bslz4", series: int = 1, facts=None):
        self.version, self.compression, self.series = version, compression, series
        self.facts = {name: value for name, value in (facts or {}).items() if value is not None}

    def start(self, shape: tuple[int, int], count: int, dtype=np.uint32) -> list[bytes]:
        """The message before the first image."""
        names = FACTS_JSON if self.version == 1 else FACTS_CBOR
        facts = {theirs: self.facts[ours] for theirs, ours in names.items() if ours in self.facts}
        if self.version == 1:
            size = {"x_pixels_in_detector": shape[1], "y_pixels_in_detector": shape[0], "nimages": count}
            header = {"htype": "dheader-1.0", "series": self.series, "header_detail": "basic"}
            return [_json(header), _json(facts | size)]
        if "detector_translation" in facts:
            facts["detector_translation"] = [0.0, 0.0, facts["detector_translation"]]
        about = {"series_unique_id": str(self.series), "number_of_images": count, "channels": ["threshold_1"]}
        size = {"image_size_x": shape[1], "image_size_y": shape[0], "image_dtype": np.dtype(dtype).name}
        return [_cbor({"type": "start", "series_id": self.series, **about, **size, **facts})]

    def pack(self, values: np.ndarray) -> bytes:
        """The bytes of an image, (H, W) of unsigned integers, compressed."""
        return compress(values, self.compression, has_header=self.version == 2)

    def image(self, number: int, values: np.ndarray, packed: bytes | None = None) -> list[bytes]:
        """The message of one image; ``packed`` saves its compression."""
        packed = self.pack(values) if packed is None else packed
        if self.version == 1:
            bits = {"bslz4": f"bs{8 * values.dtype.itemsize}-lz4", "lz4": "lz4", "none": ""}[self.compression]
            about = {"htype": "dimage_d-1.0", "shape": list(values.shape[::-1]), "type": values.dtype.name}
            header = {"htype": "dimage-1.0", "series": self.series, "frame": number, "hash": ""}
            more = {"encoding": f"{bits}<", "size": len(packed)}
            times = {"htype": "dconfig-1.0", "start_time": 0, "stop_time": 0, "real_time": 0}
            return [_json(header), _json(about | more), packed, _json(times)]
        import cbor2

        tag = {1: 64, 2: 69, 4: 70, 8: 71}[values.dtype.itemsize]
        content: Any = packed
        if self.compression != "none":
            content = cbor2.CBORTag(COMPRESSED, [self.compression, values.dtype.itemsize, content])
        array = cbor2.CBORTag(MULTI_DIMENSIONAL, [list(values.shape), cbor2.CBORTag(tag, content)])
        about = {"type": "image", "series_id": self.series, "series_unique_id": str(self.series), "image_id": number}
        return [_cbor({**about, "real_time": [0, 1], "data": {"threshold_1": array}})]

    def end(self) -> list[bytes]:
        """The message after the last image."""
        if self.version == 1:
            return [_json({"htype": "dseries_end-1.0", "series": self.series})]
        return [_cbor({"type": "end", "series_id": self.series, "series_unique_id": str(self.series)})]


def _json(item: dict) -> bytes:
    return json.dumps(item).encode()


def _cbor(item: dict) -> bytes:
    import cbor2

    return cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, item))
