"""Where shards are trained. It changes no byte of what comes out (`recommender.parallel`)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Workers(BaseModel):
    """Where tasks run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["processes", "dask", "ray"] = "processes"
    jobs: int = Field(default=1, ge=0, description="How many at once; 0: one per core, or all of a cluster.")
    address: str = Field(default="", description="The cluster's scheduler; empty: one on this machine.")


HERE = Workers()
"""One after the other, in this process."""
