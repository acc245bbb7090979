"""What can be chosen of error bars and of the resolution; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from cdipipe.settings import Parameters


class Choices(Parameters):
    """How many replicas are made of a result, and for how long each is phased."""

    noise: int = Field(
        6, ge=2, le=200, description="replicas of counts drawn from the result, and as many of thinned counts"
    )
    iterations: int = Field(15, ge=1, le=10_000, description="iterations of each, from the result")
    restarts: int = Field(8, ge=2, le=200, description="random starts inside the support of the result")
    restart_iterations: int = Field(120, ge=10, le=100_000, description="iterations of each random start")
    seed: int = Field(0, ge=0, description="of counts and starts")

    @property
    def total_iterations(self) -> int:
        """Iterations of all replicas."""
        return 2 * self.noise * self.iterations + self.restarts * self.restart_iterations


class ResolutionChoices(Parameters):
    """How often a result is phased anew; each time costs as much as the phasing itself."""

    twins: int = Field(3, ge=1, le=200, description="simulated experiments on the result, each phased from new starts")
    starts: int = Field(3, ge=1, le=200, description="times that the measured counts are phased from new starts")
    seed: int = Field(0, ge=0, description="of counts and starts")
