"""What an experiment is: which events, how divided, which models, how measured. An unknown or wrong field is refused by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from evaluation import datasets
from evaluation.catalogue import resources_of, shelved
from evaluation.contestants import CONTESTANTS, OURS, SHIPPED, ModelName
from evaluation.metrics import METRICS, MetricName
from evaluation.splits import AnyRule, GlobalTime, PerUserTime, SplitRule
from evaluation.tuning import Budget
from recommender.training import TrainingConfig


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
    catalogue: Path | None = Field(
        default=None,
        description="An app's catalogue, as `assent catalog export` writes it: topics, languages and kinds of items, and how safe lists are.",
    )

    def read(self) -> datasets.Dataset:
        """Read the file, and the catalogue where there is one."""
        found = datasets.table(self.path, self.columns, signals=self.signals)
        return found if self.catalogue is None else shelved(found, resources_of(self.catalogue))


class Given(_Value):
    """Events that are handed to `run`, such as those that people granted for `measure`."""

    kind: Literal["given"] = "given"


Source = Annotated[Deskdrop | MovieLens | Table | Given, Field(discriminator="kind")]


def source(path: Path) -> dict[str, Any]:
    """The source that a path is: a MovieLens folder, Deskdrop's file, or else a table of events."""
    if path.is_dir():
        return {"kind": "movielens", "path": path}
    kind = "deskdrop" if path.name.startswith("users_interactions") else "table"
    return {"kind": kind, "path": path}


class ConsentValueConfig(_Value):
    """What is measured of the worth of consent, and how much may be fitted for it."""

    model: ModelName = "ours_shipped"
    seeds: Annotated[int, Field(ge=1, le=100)] = 2
    subsets: Annotated[int, Field(ge=8, le=100_000)] = Field(
        default=64,
        description="Sets of signals to fit; shares are sampled where all sets are more than these.",
    )
    opt_in: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.1, 0.25, 0.5, 0.75, 1.0)
    draws: Annotated[int, Field(ge=1, le=1_000)] = 3
    factor: Annotated[float, Field(ge=1, le=100)] = Field(
        default=2.0, description="By how much the odds of opting in may be off, in the bounds on everyone."
    )


class ExplainingConfig(_Value):
    """Of how many people explanations are measured, and over how many seeds they should be the same."""

    people: Annotated[int, Field(ge=1, le=100_000)] = 200
    seeds: Annotated[int, Field(ge=2, le=100)] = 3


class ErasureDriftConfig(_Value):
    """Whom to erase, and of how many shards the release is that is put right. One person alone is erased besides."""

    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.01, 0.05, 0.1, 0.2)
    shards: Annotated[int, Field(ge=1, le=64)] = 4
    draws: Annotated[int, Field(ge=1, le=1_000)] = 1
    seeds: Annotated[int, Field(ge=2, le=100)] = Field(
        default=2, description="How often each model is fitted; lists under the next seed are the yardstick."
    )


class ExperimentConfig(_Value):
    """One experiment. Without a `split`, the one in which figures for this kind of data are published is taken."""

    dataset: Source
    split: AnyRule
    metrics: tuple[MetricName, ...] = tuple(METRICS)
    k: tuple[Annotated[int, Field(ge=1, le=1_000)], ...] = (10,)
    models: tuple[ModelName, ...] = Field(
        default_factory=lambda: tuple(name for name, each in CONTESTANTS.items() if each.available),
        description="All whose libraries are installed, if not said.",
    )
    reference: ModelName | None = Field(
        default=None,
        description="The model that all others are compared with; ours, or as shipped, or else the first, if not said.",
    )
    trials: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=20, description="Settings tried on validation for each model; 0 takes the usual ones."
    )
    trial_seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Stops choosing for a model after so long, where trials do not run out first.",
    )
    seeds: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="How often each model that depends on chance is fitted for the test: seed, seed + 1, ...",
    )
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 2_000
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    slice_people: Annotated[int, Field(ge=2, le=100_000)] = Field(
        default=20, description="A slice of fewer people has no figures."
    )
    consent_value: ConsentValueConfig | None = Field(
        default=None, description="Measures what consent is worth; many models are fitted for it."
    )
    explanations: ExplainingConfig | None = Field(
        default=None, description="Measures the explanations of our model's lists."
    )
    erasure_drift: ErasureDriftConfig | None = Field(
        default=None, description="Measures what erasing people does to those who stay, and what it costs."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    training: TrainingConfig = Field(
        default=TrainingConfig(), description="How ours is trained where nothing else is chosen."
    )

    @property
    def budget(self) -> Budget:
        """What may be spent on choosing, the same for every model."""
        return Budget(self.trials, self.trial_seconds)

    @property
    def compared_with(self) -> ModelName:
        """The model that all others are compared with."""
        ours = [name for name in (OURS, SHIPPED) if name in self.models]
        return self.reference or [*ours, *self.models][0]

    @field_validator("metrics", "k", "models")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if not values:
            raise ValueError("names nothing")
        if len(set(values)) < len(values):
            raise ValueError("names something twice")
        return values

    @field_validator("models")
    @classmethod
    def _are_available(cls, models: tuple[ModelName, ...]) -> tuple[ModelName, ...]:
        for name in models:
            if not CONTESTANTS[name].available:
                raise ValueError(f"{name} needs {CONTESTANTS[name].needs}: pip install 'assent[{name}]'")
        return models

    @field_validator("reference")
    @classmethod
    def _is_run(cls, reference: ModelName | None, info: ValidationInfo) -> ModelName | None:
        if reference is not None and reference not in info.data.get("models", (reference,)):
            raise ValueError("is not among the models")
        return reference

    @model_validator(mode="before")
    @classmethod
    def _usual_split(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("split") is None:
            source = data.get("dataset")
            kind = source.get("kind") if isinstance(source, dict) else getattr(source, "kind", None)
            return {**data, "split": USUAL_SPLITS.get(str(kind), GlobalTime())}
        return data


USUAL_SPLITS: Mapping[str, SplitRule] = {
    "deskdrop": GlobalTime(users_per_item=2),
    "movielens": PerUserTime(),
    "table": GlobalTime(items_per_user=2, users_per_item=1),
    "given": GlobalTime(items_per_user=2, users_per_item=1),
}
"""The split of each kind of source when none is given: the two first as in published figures, the others as in service."""
