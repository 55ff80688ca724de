"""Whether what is listed is safe to be shown: each model's lists for the people measured, and the service's own answers to them.

Models score the whole catalogue, and nothing is left out of their lists but what people used; so they tell what a model leans
to. The service's answers tell what people would see: its rules have left out what is contraindicated or not reviewed. They are
asked for by what each person granted for `measure` alone, and once in each language for somebody who grants nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from evaluation import safety
from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS, ModelName
from evaluation.datasets import Answer, Dataset
from evaluation.histories import histories
from evaluation.outcome import Outcome
from evaluation.preparation import Prepared
from evaluation.ranking import NOTHING
from evaluation.safety import Bootstrap
from recommender.catalog import Resource

SERVICE = "service"
"""Stands for the service's answers where other rows name a model."""
_ASKED = 1_000
"""Most people for whom the service is asked."""
_LONGEST = 100

EXPOSURE = {"lists": pl.String(), **safety.EXPOSURE}
"""Columns of `Safety.exposure`: whose lists, and the rest as `evaluation.safety.EXPOSURE`."""

CONCENTRATION = {
    "lists": pl.String(),
    "people": pl.Int64(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "worst_decile": pl.Float64(),
}
"""Columns of `Safety.concentration`: the share of a list that has its most frequent topic, the mean over lists with its interval,
and the mean over the tenth of the lists where it is largest."""

SUPPORT = {"asked_by": pl.String(), "answers": pl.Int64(), "with_support": pl.Int64(), "share": pl.Float64()}
"""Columns of `Safety.support`: how many of the service's answers say where to turn; `asked_by` people measured, and nobody known."""


@dataclass(frozen=True, eq=False)
class Safety:
    """Whether lists are safe to be shown; columns as `EXPOSURE`, `CONCENTRATION` and `SUPPORT`."""

    exposure: pl.DataFrame
    concentration: pl.DataFrame
    support: pl.DataFrame
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        frames = {"exposure": self.exposure, "concentration": self.concentration, "support": self.support}
        return {name: frame.to_dicts() for name, frame in frames.items()} | {"notes": list(self.notes)}


def showing(
    config: ExperimentConfig, prepared: Prepared, outcomes: Mapping[ModelName, Outcome]
) -> Safety | None:
    """Tell whether lists are safe to be shown; None where the catalogue is not known.

    Args:
        config: says the cut-off, the seed and the intervals.
        prepared: the people, the catalogue and the service.
        outcomes: each model's lists; those of the first seed are taken.
    """
    dataset = prepared.dataset
    if not dataset.resources:
        return None
    notes = []
    lists: dict[str, list[list[str]]] = {}
    for model, outcome in outcomes.items():
        lists[model], gone = _known(_listed(outcome, prepared, config.k[0]), dataset.resources)
        if gone:
            notes.append(
                f"{CONTESTANTS[model].title}: of its places, {gone:,} have what is no longer in the catalogue; they are left out."
            )
    support: list[tuple[str, int, int, float]] = []
    if dataset.answer is None:
        notes.append("Answers of a service were not at hand, so that nothing is said of support blocks.")
    else:
        asked = _answers(config, prepared, dataset.answer)
        lists[SERVICE] = safety.lists_of([each for group in asked.values() for each in group])
        support = [_supported(who, answers) for who, answers in asked.items()]
    exposure, concentration = _measured(config, lists, dataset)
    return Safety(exposure, concentration, pl.DataFrame(support, schema=SUPPORT, orient="row"), tuple(notes))


def _listed(outcome: Outcome, prepared: Prepared, k: int) -> list[list[str]]:
    """What a model lists for each person measured, as ids."""
    items = np.concatenate([lists.items[:, :k] for lists in outcome.lists])
    return [[prepared.catalogue[item] for item in own if item != NOTHING] for own in items]


def _known(lists: list[list[str]], resources: Sequence[Resource]) -> tuple[list[list[str]], int]:
    """The lists without what the catalogue no longer has, and how many places that were."""
    ids = {each.id for each in resources}
    kept = [[item for item in listed if item in ids] for listed in lists]
    return kept, sum(map(len, lists)) - sum(map(len, kept))


def _answers(
    config: ExperimentConfig, prepared: Prepared, answer: Answer
) -> dict[str, list[Mapping[str, Any]]]:
    """The service's answers to people measured, and to somebody of whom nothing is known in each language of the catalogue."""
    limit = min(config.k[0], _LONGEST)
    dataset, exam = prepared.dataset, prepared.folds[0].exam
    drawn = np.random.default_rng(config.seed).permutation(exam.people)[:_ASKED]
    known = [
        answer(history, _granted(dataset, exam.known.users[person]), limit=limit, locale=None)
        for person, history in zip(drawn, histories(exam.known, drawn), strict=True)
    ]
    languages = sorted({language for each in dataset.resources for language in each.languages})
    unknown = [answer((), (), limit=limit, locale=language) for language in languages]
    return {"people measured": known, "nobody known": unknown}


def _granted(dataset: Dataset, user: str) -> frozenset[str]:
    """What a person granted; where that is not known, every signal, since no event is there that was not granted."""
    if dataset.grants is None:
        return frozenset(dataset.events["signal"].unique())
    return dataset.grants.get(user, frozenset())


def _supported(who: str, answers: Sequence[Mapping[str, Any]]) -> tuple[str, int, int, float]:
    share = safety.support_share(answers)
    return who, len(answers), round(share * len(answers)), share


def _measured(
    config: ExperimentConfig, lists: Mapping[str, list[list[str]]], dataset: Dataset
) -> tuple[pl.DataFrame, pl.DataFrame]:
    bootstrap = Bootstrap(config.bootstrap_samples, config.confidence, config.seed)
    exposed, dwelling = [pl.DataFrame(schema=EXPOSURE)], []
    for name, own in lists.items():
        found = safety.exposure(own, dataset.resources, bootstrap)
        exposed.append(found.select(pl.lit(name).alias("lists"), *found.columns))
        one = safety.concentration(own, dataset.resources, bootstrap)
        if one is not None:
            dwelling.append((name, one.lists, one.mean, one.low, one.high, one.worst_decile))
    return pl.concat(exposed), pl.DataFrame(dwelling, schema=CONCENTRATION, orient="row")
