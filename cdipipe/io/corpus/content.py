"""What the JSON files of a corpus hold: each is looked at once when it is read, and is otherwise damaged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

FORMAT = 1
MOST_SAMPLES = 10**9
MOST_SHARDS = 10_000
MOST_CHUNKS = 10**6
"""Of a corpus; each is a file of every array."""

Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _inside(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError("leads out of the corpus")
    return name


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PlanContent(_Content):
    """``plan.json``."""

    format: Literal[1]
    kind: str = Field(min_length=1, max_length=200)
    parameters: dict[str, Any]
    seed: int = Field(ge=0, strict=True)
    count: int = Field(ge=1, le=MOST_SAMPLES, strict=True)
    shards: int = Field(ge=1, le=MOST_SHARDS, strict=True)
    chunk_samples: int = Field(ge=1, le=65536, strict=True)
    inputs: dict[str, str] = {}

    @model_validator(mode="after")
    def _possible(self):
        if self.shards > self.count:
            raise ValueError(f"shards {self.shards}: more than there are samples ({self.count})")
        if self.count // self.chunk_samples > MOST_CHUNKS:
            raise ValueError(f"more than {MOST_CHUNKS} chunks; take more samples per chunk")
        return self


class MarkerContent(_Content):
    """``chunk-00000.json``."""

    plan: str
    code: str
    first: Count
    count: Count
    files: dict[Annotated[str, AfterValidator(_inside)], str | None]
    digest: str


class DoneContent(_Content):
    """``shard-0000.json``."""

    plan: str
    code: str
    chunks: Count
    digest: str
    samples_drawn: Count
    seconds: Finite
    versions: dict[str, str]


class ArrayFacts(BaseModel):
    """One array of the card."""

    sample_shape: list[Annotated[int, Field(ge=1, le=2**31, strict=True)]] = Field(max_length=8)
    dtype: str


class CardContent(BaseModel):
    """``corpus.json``: what a training needs of it; the rest is for people."""

    model_config = ConfigDict(extra="allow")

    plan_digest: str
    digest: str
    samples: Count
    arrays: dict[str, ArrayFacts]


class RecordContent(BaseModel):
    """A line of ``records-00000.jsonl``."""

    model_config = ConfigDict(extra="allow")

    index: Count
    photons: Finite
    support_px: Finite
    phase_range_rad: Finite
