"""What erasing people does to those who stay, as panels: how far lists move, what accuracy that costs, and the time."""

from typing import Any

import polars as pl

from evaluation.erasure_drift import ErasureDrift
from evaluation.report.drawings import Curve, Group, Intervals, Line, Point, Row
from evaluation.report.panel import Panel, cell, span
from evaluation.report.plots import number

_LINES = {
    "before": ("Before", "first"),
    "undivided": ("Full retraining", "second"),
    "seed": ("Another seed", "fourth"),
    "undivided_seed": ("Seed, undivided", "fifth"),
}
_AGAINST = {
    "before": "before the erasure",
    "undivided": "full retraining, undivided",
    "seed": "itself under another seed",
    "undivided_seed": "the undivided one under another seed",
}


def drifted(found: ErasureDrift) -> Panel:
    """How far the lists of those who stay move, held against another seed's."""
    rows = found.lists.to_dicts()
    return Panel(
        "drift",
        "Erasure",
        "What erasing people does to the lists of those who stay",
        (
            *found.notes,
            ("Overlap is the share of items that two lists have in common (Jaccard). Lists that move no further than under "
            "another seed have not drifted."),
        ),
        ("Erased", "Lists held against", "Overlap", "Interval", "By rank", "Moves", "NDCG less", "Interval of that"),
        tuple(
            (
                _erased(row),
                _AGAINST[row["against"]],
                number(row["jaccard"], 3),
                span(row, "jaccard_low", "jaccard_high", 3),
                number(row["rbo"], 3),
                row["noise"] or "the yardstick",
                number(-row["difference"], 4),
                _negated(row),
            )
            for row in rows
        ),
        2,
        intervals=(_accuracy(found.lists),),
        curves=(_overlap(found.lists),),
    )  # fmt: skip


def _erased(row: dict[str, Any]) -> str:
    return "1 person" if row["erased"] == 1 else f"{row['share']:.0%}"


def _negated(row: dict[str, Any]) -> str:
    return span({"low": -row["high"], "high": -row["low"]}, "low", "high", 4)


def _overlap(lists: pl.DataFrame) -> Curve:
    """Overlap by how many are erased; shares stand side by side, since most are small."""
    erased = lists.select("erased", "share").unique().sort("erased").to_dicts()
    place = {row["erased"]: number_ for number_, row in enumerate(erased)}
    lines = []
    for against, (label, mark) in _LINES.items():
        rows = lists.filter(against=against).sort("erased").to_dicts()
        points = tuple(
            Point(place[row["erased"]], row["jaccard"], row["jaccard_low"], row["jaccard_high"])
            for row in rows
        )
        lines.append(Line(label, mark, points))
    last = lists.filter(against="before").sort("erased").row(-1, named=True)
    said = f"With {_erased(last)} erased, lists overlap by {cell(last['jaccard'], 2)} with those before, {last['noise']}."
    ticks = tuple((place[row["erased"]], _erased(row)) for row in erased)
    return Curve("Overlap with the lists of", said, "People erased", "Overlap", ticks, tuple(lines))


def _accuracy(lists: pl.DataFrame) -> Intervals:
    groups = tuple(
        Group(
            f"Against {_AGAINST[against]}",
            tuple(
                Row(_erased(row), row["difference"], row["low"], row["high"], row["verdict"], row["verdict"].split(" ")[0])
                for row in lists.filter(against=against).sort("erased").to_dicts()
            ),
        )
        for against in ("before", "undivided")
    )  # fmt: skip
    caption = "Accuracy of the release put right, minus the other's. Right of zero, the release put right is higher."
    return Intervals("NDCG", caption, "People erased", groups, "Put right, it is")


def times(found: ErasureDrift) -> Panel:
    """What putting a release right costs."""
    return Panel(
        "erasure-times",
        "Cost of erasing",
        "What erasing people costs",
        (
            "CPU seconds of training in the same run: the shards that held the erased, all shards, and one undivided model.",
        ),
        ("Erased", "Shards trained", "Those", "All shards", "Undivided", "Times faster", "Same bytes as all"),
        tuple(
            (
                _erased(row),
                f"{row['renewed']:g} of {row['shards']}",
                number(row["renewed_s"], 2),
                number(row["all_s"], 2),
                number(row["undivided_s"], 2),
                cell(row["times_faster"], 1),
                "yes" if row["same_bytes"] else "no",
            )
            for row in found.times.to_dicts()
        ),
    )
