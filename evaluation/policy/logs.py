"""Public logs with true propensities, to check estimators on.

Neither is part of the project: HeartSteps V1 (Klasnja et al., Annals of Behavioral Medicine 53(6), 2019; CC BY 4.0), and
the sample of the Open Bandit Dataset (Saito et al., NeurIPS Datasets and Benchmarks 2021; CC BY 4.0).
"""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from evaluation import datasets
from evaluation.columns import ids_of, require, values_of
from evaluation.errors import DatasetError, Where

SENT = 0.6
"""The probability with which HeartSteps sent a suggestion whenever somebody was available, by its design.

Walking and stretching suggestions are told apart in the file, but not as evenly (2,187 and 1,727 of 6,590) as chance would
divide them by halves, so only whether one was sent is taken for random here.
"""

_TRUTH = {"TRUE": True, "FALSE": False}


def heartsteps(folder: Path) -> pl.DataFrame:
    """Read HeartSteps V1's `suggestions.csv.gz`: the decisions at which chance said whether to send a suggestion.

    Returns:
        A row for each decision at which the person was available and the steps are known: `person` (String), `sent`
        (Boolean), `propensity` (Float64: of what was done), `steps` (Float64: in the 30 minutes after, 0 where the
        tracker counted none), `reward` (Float64: the natural logarithm of steps + 0.5, the trial's own outcome).

    Raises:
        DatasetError: naming the file, the column and the row that is wrong.
    """
    path = folder / "suggestions.csv.gz"
    raw, source = datasets.read(path, encoding="mac_roman"), str(path)
    require(raw, ["user.index", "avail", "send", "jbsteps30.zero"], source)
    available = _truths(raw, "avail", source)
    decisions = pl.DataFrame(
        {
            "person": ids_of(raw, "user.index", source),
            "sent": _truths(raw, "send", source, where=available),
            "steps": values_of(_known(raw), "jbsteps30.zero", source),
        }
    ).filter(available & _known(raw)["jbsteps30.zero"].is_not_null())
    if decisions.is_empty():
        raise DatasetError(f"{source}: has no decision at which somebody was available")
    return decisions.select(
        "person",
        "sent",
        propensity=pl.when("sent").then(SENT).otherwise(1 - SENT),
        steps="steps",
        reward=(pl.col("steps") + 0.5).log(),
    )


def open_bandit(folder: Path, policy: Literal["random", "bts"]) -> pl.DataFrame:
    """Read `men.csv.gz` of a policy of the Open Bandit sample.

    Returns:
        A row for each impression: `item` (String), `position` (String: 1, 2 or 3), `propensity` (Float64: of the item
        at this position, under `policy`), `reward` (Float64: 1 for a click, else 0).

    Raises:
        DatasetError: naming the file, the column and the row that is wrong.
    """
    path = folder / policy / "men.csv.gz"
    raw, source = datasets.read(path), str(path)
    require(raw, ["item_id", "position", "propensity_score", "click"], source)
    return pl.DataFrame(
        {
            "item": ids_of(raw, "item_id", source),
            "position": ids_of(raw, "position", source),
            "propensity": values_of(raw, "propensity_score", source),
            "reward": values_of(raw, "click", source),
        }
    )


def shown_as_often(frame: pl.DataFrame, other: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The probability with which another policy shows each row's item at its position, counted in that policy's log.

    Args:
        frame: N impressions, as `open_bandit` returns them.
        other: impressions of the other policy.

    Returns:
        (N,) shares of the impressions at the position, 0 for an item that the other policy never showed there. For a
        policy that learns as it goes, this is its average over the time of its log.
    """
    counted = other.group_by("position", "item").agg(shown=pl.len())
    shares = counted.with_columns(target=pl.col("shown") / pl.col("shown").sum().over("position"))
    joined = frame.join(shares, on=["position", "item"], how="left", maintain_order="left")
    return joined["target"].fill_null(0.0).to_numpy()


def _known(raw: pl.DataFrame) -> pl.DataFrame:
    """R writes NA for what is not known."""
    return raw.with_columns(pl.col("jbsteps30.zero").replace("NA", None).replace("", None))


def _truths(raw: pl.DataFrame, column: str, source: str, where: pl.Series | None = None) -> pl.Series:
    """TRUE and FALSE, demanded of the rows `where` says; null elsewhere."""
    truths = raw[column].replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    wrong = truths.is_null() if where is None else truths.is_null() & where
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DatasetError(f"{Where(source, column, row + 1)}: {raw[column][row]!r} is not TRUE or FALSE")
    return truths
