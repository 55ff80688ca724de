"""Whether lists are safe to be shown, as panels: what they ask of people, how far they dwell on one topic, where to turn."""

from collections.abc import Mapping

import polars as pl

from evaluation.contestants import CONTESTANTS
from evaluation.report.drawings import Group, Intervals, Row
from evaluation.report.panel import Panel, cell
from evaluation.showing import SERVICE, Safety

_TITLES: Mapping[str, str] = {name: each.title for name, each in CONTESTANTS.items()} | {
    SERVICE: "The service's answers"
}


_ASKED_BY = {
    "people measured": "people measured",
    "nobody known": "somebody who shares nothing, one in each language",
}


def title(lists: str) -> str:
    """Whose lists, as people read it."""
    return _TITLES[lists]


def exposed(found: Safety, reference: str) -> Panel:
    """What lists ask of people; drawn for the reference and for the service."""
    rows = found.exposure.to_dicts()
    drawn = [
        _drawn(found.exposure.filter(lists=lists), lists)
        for lists in (SERVICE, reference)
        if found.exposure.filter(pl.col("place_share").is_not_null(), lists=lists).height
    ]
    return Panel(
        "exposure",
        "Safety",
        "Safety: what lists ask of people",
        (
            *found.notes,
            *_support(found),
            "A model ranks the whole catalogue; the service leaves out what is contraindicated by what a person shared, or not reviewed.",
            "Having contraindications means that some people should not use a resource, not that whoever saw it should not.",
        ),
        ("Lists", "By", "Group", "Catalogue", "Places", "Interval", "Attention", "Lists with one"),
        tuple(
            (
                title(row["lists"]),
                row["property"],
                row["group"],
                _percent(row["catalogue_share"]),
                _percent(row["place_share"]),
                _range(row["low"], row["high"]),
                _percent(row["attention_share"]),
                _percent(row["list_share"]),
            )
            for row in rows
        ),
        3,
        intervals=tuple(drawn),
    )


def _support(found: Safety) -> list[str]:
    return [
        f"The service's answers to {_ASKED_BY[row['asked_by']]}: {row['with_support']:,} of {row['answers']:,} say where to turn in a crisis."
        for row in found.support.to_dicts()
    ]


def _drawn(rows: pl.DataFrame, lists: str) -> Intervals:
    groups = tuple(
        Group(
            by[:1].upper() + by[1:],
            tuple(
                Row(
                    f"{row['group']} ({row['catalogue_share']:.3f})",
                    row["place_share"],
                    row["low"],
                    row["high"],
                )
                for row in rows.filter(property=by).to_dicts()
            ),
        )
        for by in rows["property"].unique(maintain_order=True)
    )
    return Intervals(
        "Share",
        f"{title(lists)}: the share of all places that each group of resources has; in brackets, its share of the catalogue.",
        "Resources",
        groups,
    )


def dwelling(found: Safety) -> Panel:
    """How far lists dwell on one topic."""
    rows = found.concentration.to_dicts()
    drawn = Intervals(
        "Share of a list",
        "The share of a list that has its most frequent topic, on average over lists. 1 is a list about one topic alone.",
        "Lists",
        (Group("", tuple(Row(title(row["lists"]), row["mean"], row["low"], row["high"]) for row in rows)),),
    )
    return Panel(
        "concentration",
        "One topic",
        "Safety: how far lists dwell on one topic",
        ("The worst tenth: the mean over the tenth of the lists where that share is largest.",),
        ("Lists", "People", "Mean", "Interval", "Worst tenth"),
        tuple(
            (
                title(row["lists"]),
                f"{row['people']:,}",
                cell(row["mean"], 3),
                f"{cell(row['low'], 3)} to {cell(row['high'], 3)}",
                cell(row["worst_decile"], 3),
            )
            for row in rows
        ),
        intervals=(drawn,),
    )


def said(found: Safety, reference: str) -> list[str]:
    """Where to turn, what is demanding, and one topic, in sentences: of the service where it was asked, else of the reference."""
    sentences = []
    answers, supported = (int(found.support[name].sum()) for name in ("answers", "with_support"))
    if answers:
        missing = answers - supported
        sentences.append(
            f"All {answers:,} answers that the service gave say where to turn in a crisis."
            if not missing
            else f"Of {answers:,} answers that the service gave, {missing:,} do not say where to turn in a crisis."
        )
    lists = SERVICE if answers else reference
    whose = "the service's lists" if answers else f"the lists of {title(reference)}"
    both = found.exposure.filter(lists=lists, property="both").drop_nulls("place_share").to_dicts()
    sentences += [
        f"Demanding resources with contraindications have {_percent(row['place_share'])} of the places in {whose}, "
        f"and are {_percent(row['catalogue_share'])} of the catalogue."
        for row in both
    ]
    return sentences + [
        f"In {whose}, {row['mean']:.0%} of a list is about one topic on average, "
        f"and {row['worst_decile']:.0%} in the tenth of lists where that is most."
        for row in found.concentration.filter(lists=lists).to_dicts()
    ]


def _percent(value: float | None) -> str:
    return cell(None) if value is None else f"{value:.1%}".replace(".0%", "%")


def _range(low: float | None, high: float | None) -> str:
    return cell(None) if low is None else f"{_percent(low)} to {_percent(high)}"
