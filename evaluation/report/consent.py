"""What consent is worth, as panels: each signal, the curve of opting in, and people by how much they share."""

import polars as pl

from evaluation.consent_value import ConsentValue
from evaluation.report.drawings import Curve, Group, Intervals, Line, Point, Row
from evaluation.report.panel import Panel, cell, span
from evaluation.report.plots import number
from evaluation.slices import TOO_FEW

_WAYS = {
    "refit": "nobody shares it",
    "serve": "not seen when asked",
    "shapley": "share of all signals",
}
_WAYS_TOLD = {
    "refit": "What is lost when nobody shares it",
    "serve": "What is lost when it is not seen as people ask",
    "shapley": "Its share of what all signals give (Shapley)",
}
_CHOSEN_BY = {
    "chance": "Who opts in is chance",
    "engagement": "Who does more opts in more often",
}
_LINES = {
    "everyone": ("Everyone", "first"),
    "consenters": ("Opted in", "second"),
    "others": ("Others", "third"),
    "if_all": ("If all did", "fourth"),
    "weighted": ("Estimate", "fifth"),
}


def worth(found: ConsentValue) -> Panel:
    """Each signal, in each way of leaving it out."""
    rows = found.signals.to_dicts()
    groups = tuple(
        Group(
            title,
            tuple(
                Row(row["signal"], row["worth"], row["low"], row["high"], _worth(row["verdict"]), _mark(row["verdict"]))
                for row in rows
                if row["way"] == way
            ),
        )
        for way, title in _WAYS_TOLD.items()
    )  # fmt: skip
    drawn = Intervals(
        "NDCG",
        "What each signal adds to NDCG. Right of zero, lists are better with it.",
        "Signal",
        groups,
        "It is worth",
    )
    return Panel(
        "worth",
        "Signals",
        "What each signal is worth, in NDCG",
        (*found.notes, "The shares of all signals sum to what they give together, above a random order."),
        ("Signal", "Measured by", "People", "Worth", "Interval", "Sampling error", "With it"),
        tuple(
            (
                row["signal"],
                _WAYS[row["way"]],
                f"{row['people']:,}",
                number(row["worth"], 4),
                span(row, "low", "high", 4),
                cell(row["sampling_error"]),
                row["verdict"],
            )
            for row in rows
        ),
        2,
        intervals=(drawn,),
    )


def _worth(verdict: str) -> str:
    return {"better": "something", "worse": "less than nothing"}.get(verdict, "nothing that is clear")


def _mark(verdict: str) -> str:
    return verdict.split(" ", maxsplit=1)[0]


def opting_in(found: ConsentValue) -> Panel:
    """The curve of accuracy against the share of people who opt in."""
    return Panel(
        "opt-in",
        "Opting in",
        "Accuracy by the share of people who opt in",
        (
            (
                "Everyone: all people as served. Opted in: those served by their profiles. Others: those served without. "
                "If all did: everyone by a profile, from the same model."
            ),
            (
                "Estimate: that, told from those who opted in alone, weighted by how likely they were to; its line spans what "
                "is possible where the odds of opting in are off."
            ),
        ),
        (
            "By",
            "Share",
            "Everyone",
            "Opted in",
            "Others",
            "If all",
            "Estimate",
            "Odds off",
            "Nothing assumed",
        ),
        tuple(
            (
                row["chosen_by"],
                f"{row['share']:.0%}",
                *(cell(row[name]) for name in _LINES_IN_TABLE),
                span(row, "factor_low", "factor_high", 4),
                span(row, "worst", "best", 3),
            )
            for row in found.opt_in.to_dicts()
        ),
        curves=tuple(
            _curve(title, found.opt_in.filter(chosen_by=way))
            for way, title in _CHOSEN_BY.items()
            if way in set(found.opt_in["chosen_by"])
        ),
    )


_LINES_IN_TABLE = ("everyone", "consenters", "others", "if_all", "weighted")


def _curve(title: str, rows: pl.DataFrame) -> Curve:
    everyone = rows.drop_nulls("everyone").sort("share")
    said = (
        f"NDCG of everyone goes from {cell(everyone['everyone'][0])} with {everyone['share'][0]:.0%} opted in "
        f"to {cell(everyone['everyone'][-1])} with {everyone['share'][-1]:.0%}."
        if len(everyone)
        else "Nobody who was measured opted in."
    )
    lines = [
        Line(label, mark, points) for name, (label, mark) in _LINES.items() if (points := _points(rows, name))
    ]
    ticks = tuple((share, f"{share:.0%}") for share in rows["share"].sort())
    return Curve(title, said, "People who opt in", "NDCG", ticks, tuple(lines))


def _points(rows: pl.DataFrame, name: str) -> tuple[Point, ...]:
    ends = ("factor_low", "factor_high") if name == "weighted" else (None, None)
    return tuple(
        Point(row["share"], row[name], *(row[end] if end else None for end in ends))
        for row in rows.sort("share").to_dicts()
        if row[name] is not None
    )


_AS_GRANTED = ("granted all", "granted some")
"""People as they are, where it is known what they granted; the other rows are the same people in each of three ways."""


def utility(found: ConsentValue) -> Panel:
    """What the same people get who share all, one signal, or nothing; and what people get as they granted, where it is known."""
    rows = found.utility.to_dicts()
    simulated, granted = (
        tuple(
            Row(row["shares"], row["value"], row["low"], row["high"])
            for row in rows
            if (row["shares"] in _AS_GRANTED) == as_granted and row["value"] is not None
        )
        for as_granted in (False, True)
    )
    drawn = Intervals(
        "NDCG",
        "The same people, served in each of three ways"
        + (", and people as they granted." if granted else "."),
        "They share",
        (
            Group("The same people" if granted else "", simulated),
            *([Group("As people granted", granted)] if granted else []),
        ),
    )
    about = ["A third of those who were learned from share in each of the three ways."]
    if any(row["shares"] in _AS_GRANTED for row in rows):
        about.append(
            "Who granted all that may be measured, and who granted some of it, are different people: the difference is not what "
            "granting gave them. Of who granted nothing there is nothing to measure by; “nothing” is what they would get."
        )
    return Panel(
        "utility",
        "Sharing less",
        "What people get who share all, one signal, or nothing",
        tuple(about),
        ("Shares", "People", "NDCG", "Interval", "Less than sharing all", "Interval of that"),
        tuple(
            (
                row["shares"],
                f"{row['people']:,}",
                TOO_FEW if row["value"] is None else number(row["value"], 4),
                span(row, "low", "high", 4),
                cell(row["less_than_all"]),
                span(row, "less_low", "less_high", 4),
            )
            for row in rows
        ),
        intervals=(drawn,),
    )
