"""What an experiment is: which events, how divided, which models, how measured. An unknown or wrong field is refused by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evaluation import datasets
from evaluation.contestants import CONTESTANTS, ModelName
from evaluation.splits import SplitConfig
from recommender.training import TrainingConfig

MetricName = Literal["ndcg", "recall", "coverage"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deskdrop(_Value):
    """The file `users_interactions.csv(.gz)` of Deskdrop."""

    kind: Literal["deskdrop"] = "deskdrop"
    path: Path

    def read(self) -> datasets.Dataset:
        """Read the file."""
        return datasets.deskdrop(self.path)


class MovieLens(_Value):
    """A folder in MovieLens format."""

    kind: Literal["movielens"] = "movielens"
    path: Path

    def read(self) -> datasets.Dataset:
        """Read the folder."""
        return datasets.movielens(self.path)


class Table(_Value):
    """Any CSV or Parquet file with a row for each event."""

    kind: Literal["table"] = "table"
    path: Path
    columns: datasets.Columns = datasets.Columns()
    signals: Mapping[str, str] | None = None

    def read(self) -> datasets.Dataset:
        """Read the file."""
        return datasets.table(self.path, self.columns, signals=self.signals)


class Given(_Value):
    """Events that are handed to `run`, such as those that people granted for `measure`."""

    kind: Literal["given"] = "given"


Source = Annotated[Deskdrop | MovieLens | Table | Given, Field(discriminator="kind")]


class ExperimentConfig(_Value):
    """One experiment. Without a `split`, the one in which figures for this kind of data are published is taken."""

    dataset: Source
    split: SplitConfig
    metrics: tuple[MetricName, ...] = ("ndcg", "recall", "coverage")
    k: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] = (10,)
    models: tuple[ModelName, ...] = tuple(CONTESTANTS)
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 2_000
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="How ours is trained; its seed is `seed`."
    )

    @field_validator("metrics", "k", "models")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if not values:
            raise ValueError("names nothing")
        if len(set(values)) < len(values):
            raise ValueError("names something twice")
        return values

    @model_validator(mode="before")
    @classmethod
    def _usual_split(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("split") is None:
            source = data.get("dataset")
            kind = source.get("kind") if isinstance(source, dict) else getattr(source, "kind", None)
            return {**data, "split": USUAL_SPLITS.get(str(kind), SplitConfig())}
        return data


USUAL_SPLITS: Mapping[str, SplitConfig] = {
    "deskdrop": SplitConfig(kind="global", users_per_item=2),
    "movielens": SplitConfig(kind="per_user"),
    "table": SplitConfig(kind="global", items_per_user=2, users_per_item=1),
    "given": SplitConfig(kind="global", items_per_user=2, users_per_item=1),
}
"""The split of each kind of source when none is given: the two first as in published figures, the others as in service."""
