"""What can be chosen of a search for settings; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field, model_validator

from cdipipe.settings import Parameters


class TuneChoices(Parameters):
    """How long settings are searched, and what judges them."""

    budget: int = Field(
        120, ge=16, le=100_000, description="reconstructions in all, those that confirm the choice among them"
    )
    over: tuple[str, ...] = Field((), description="keys to search; none: all that the method's file gives a range")
    sets: int = Field(3, ge=2, le=50, description="sets of withheld pixels of every trial, each with starts of its own")
    fresh_sets: int = Field(5, ge=2, le=50, description="other sets, on which the best trials meet the default")
    finalists: int = Field(5, ge=1, le=50, description="best trials that meet the default")
    free_fraction: float = Field(
        0.06, gt=0, lt=0.5, description="share of the pixels in a set, in blocks of about a speckle"
    )

    @model_validator(mode="after")
    def _enough(self):
        if self.trials < 2:
            raise ValueError(f"budget {self.budget}: too little for a trial; expected at least {self.least_budget}")
        return self

    @property
    def confirming(self) -> int:
        """Reconstructions that the default and the finalists take in the end, with all pixels once each."""
        return (1 + self.finalists) * (self.fresh_sets + 1)

    @property
    def least_budget(self) -> int:
        """The default, one trial, and their meeting."""
        return self.confirming + 2 * self.sets

    @property
    def trials(self) -> int:
        """Settings that are tried, the default among them."""
        return (self.budget - self.confirming) // self.sets
