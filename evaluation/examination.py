"""A model of chosen settings is fitted on train, and its lists for the test are made once, or found in the cache."""

import time
from dataclasses import dataclass

import numpy as np

from evaluation.cache import Cache, key
from evaluation.contestants import CONTESTANTS, ModelName, Setting, Settings
from evaluation.problem import Exam
from evaluation.ranking import Lists


@dataclass(frozen=True, eq=False)
class Examined:
    """A model's lists for the people of a test, with the seconds they took, in this run or an earlier one."""

    lists: Lists
    fitting_s: float
    ranking_s: float


def examine(
    name: ModelName,
    settings: Settings,
    setting: Setting,
    exam: Exam,
    depth: int,
    seed: int,
    tie_seed: int,
    cache: Cache,
) -> Examined:
    """Fit and rank.

    Args:
        name: of the contestant.
        settings: chosen on validation.
        setting: what the contestant may know beside.
        exam: the test, which takes each name and seed once.
        depth: length of the lists.
        seed: of the model.
        tie_seed: of the order among equal scores, the same for every model.
        cache: where lists are kept by content.

    Raises:
        ExamTakenError: this name with this seed was measured on this exam before.
        ScoreError: the model gave no usable scores.
    """
    label = f"{name}, seed {seed}"
    own_key = key(
        name=name,
        settings=dict(settings),
        setting=setting.digest,
        data=exam.digest,
        depth=depth,
        seed=seed,
        ties=tie_seed,
    )
    if (found := cache.load(f"lists-{name}", own_key)) is not None:
        items, about = found
        return Examined(
            exam.recall(items.astype(np.intp), label), float(about["fitting_s"]), float(about["ranking_s"])
        )
    began = time.perf_counter()
    model = CONTESTANTS[name].make(setting, settings, seed).fit(exam.train)
    fitted = time.perf_counter()
    lists = exam.sit(model, depth, tie_seed, label)
    ranked = time.perf_counter()
    about = {"fitting_s": str(fitted - began), "ranking_s": str(ranked - fitted)}
    cache.store(f"lists-{name}", own_key, lists.items.astype(np.int32), about)
    return Examined(lists, fitted - began, ranked - fitted)
