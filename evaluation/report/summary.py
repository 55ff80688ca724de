"""The outcome in plain sentences. "Better" and "worse" only where the interval says so."""

from collections.abc import Sequence

from evaluation.consent_value import ConsentValue
from evaluation.contestants import CONTESTANTS
from evaluation.erasure_drift import ErasureDrift
from evaluation.metrics import METRICS
from evaluation.report import safety
from evaluation.report.accuracy import headlines, of
from evaluation.report.panels import first
from evaluation.report.plots import digits_for, number
from evaluation.result import Result
from evaluation.slices import GRANTED, USED

_WORDS = {
    "better": "It is better than {}.",
    "higher": "It is higher than {}.",
    "no clear difference": "There is no clear difference from {}.",
    "lower": "It is lower than {}.",
    "worse": "It is worse than {}.",
}


def summary(result: Result) -> list[str]:
    """How good the reference is, and against which models, by the first metric and cut-off."""
    metric, k, reference = headlines(result)[0], result.config.k[0], result.config.compared_with
    name = f"{METRICS[metric].title}@{k}"
    rows = {row["model"]: row for row in of(result.scores, metric, k)}
    if reference not in rows:
        return [f"{name} is not defined for anyone."]
    digits = digits_for([row["high"] for row in rows.values()])
    ours, title = rows[reference], CONTESTANTS[reference].title
    bounds = f"({number(ours['low'], digits)} to {number(ours['high'], digits)})"
    sentences = [f"{title}: {name} of {number(ours['value'], digits)} {bounds}."]
    groups: dict[str, list[str]] = {}
    for row in of(result.differences, metric, k):
        groups.setdefault(row["verdict"], []).append(CONTESTANTS[row["model"]].title)
    return sentences + [
        text.format(_listed(groups[verdict])) for verdict, text in _WORDS.items() if verdict in groups
    ]


def further(result: Result) -> list[str]:
    """For whom, how safe, what consent is worth, and what erasing does, as far as it was measured."""
    said = [*_for_whom(result), *_sharing(result)]
    if result.safety is not None:
        said += safety.said(result.safety, result.config.compared_with)
    if result.consent is not None:
        said += _consent(result.consent)
    if result.drift is not None:
        said += _drift(result.drift)
    return said


_WHO = {
    "events": "with {} events",
    GRANTED: "who granted {} signals",
    USED: "of whom {} signals are known",
}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _for_whom(result: Result) -> list[str]:
    said = []
    for row in first(result, result.worst).to_dicts():
        digits = digits_for([row["value"], row["rest"]])
        figures = f"{number(row['value'], digits)} against {number(row['rest'], digits)} for everyone else"
        if row["verdict"] == "worse":
            said.append(f"People served worst: “{row['dimension']}: {row['slice']}” ({figures}).")
        else:
            said.append(
                f"No group of the {row['looked_at']} that were looked at is clearly served worse; "
                f"the lowest is “{row['dimension']}: {row['slice']}” ({figures})."
            )
    return said


def _sharing(result: Result) -> list[str]:
    said = []
    for row in first(result, result.sharing).filter(model=result.config.compared_with).to_dicts():
        more, fewer = (_WHO[row["by"]].format(word) for word in ("more", "fewer"))
        if row["verdict"] in {"better", "worse"}:
            said.append(f"People {more} fare {row['verdict']} than people {fewer}.")
        else:
            said.append(f"There is no clear difference between people {more} and people {fewer}.")
    return said


def _consent(found: ConsentValue) -> list[str]:
    shares = found.signals.filter(way="shapley")
    clear = shares.filter(verdict="better").sort("worth", descending=True)["signal"].to_list()
    said = [
        f"Signals that clearly add to accuracy: {_listed(clear)}."
        if clear
        else "No signal on its own clearly adds to accuracy."
    ]
    nothing = found.utility.filter(shares="nothing").to_dicts()
    for row in nothing:
        cost = f"{number(row['less_than_all'], 4)} ({number(row['less_low'], 4)} to {number(row['less_high'], 4)})"
        clearly = "costs" if row["less_low"] > 0 else "does not clearly cost anything:"
        said.append(f"Sharing nothing {clearly} {cost} of NDCG.")
    return said


def _drift(found: ErasureDrift) -> list[str]:
    said = []
    for row in found.lists.filter(against="before").sort("erased").to_dicts()[-1:]:
        who = "one person" if row["erased"] == 1 else f"{row['share']:.0%} of people"
        accuracy = {
            "better": "they are more accurate than before",
            "worse": "they are less accurate than before",
        }
        said.append(
            f"With {who} erased, the lists of those who stay move {_than(row['noise'])}, "
            f"and {accuracy.get(row['verdict'], 'there is no clear difference in their accuracy')}."
        )
    return said


def _than(noise: str | None) -> str:
    words = {
        "more than seed noise": "more than another seed moves them",
        "less than seed noise": "less than another seed moves them",
    }
    return words.get(noise or "", "no further than another seed moves them")
