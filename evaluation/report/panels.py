"""Findings beyond scores and differences, the same for the terminal and for the page."""

from collections.abc import Sequence
from itertools import groupby

import polars as pl

from evaluation.contestants import CONTESTANTS
from evaluation.metrics import METRICS
from evaluation.report import consent, erasure, safety
from evaluation.report.drawings import Group, Intervals, Row
from evaluation.report.panel import Panel, span
from evaluation.report.plots import digits_for, number
from evaluation.result import Result
from evaluation.slices import TOO_FEW


def panels(result: Result) -> list[Panel]:
    """What there is to say beyond scores and differences, in the order of the page."""
    found = [_slices(result), _sharing(result)]
    if result.safety is not None:
        found += [
            safety.exposed(result.safety, result.config.compared_with),
            safety.dwelling(result.safety),
        ]
    if result.consent is not None:
        found += [
            consent.worth(result.consent),
            consent.opting_in(result.consent),
            consent.utility(result.consent),
        ]
    if result.drift is not None:
        found += [erasure.drifted(result.drift), erasure.times(result.drift)]
    if result.explanations is not None:
        found.append(_explanations(result.explanations))
    return [panel for panel in found if panel.rows]


def first(result: Result, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of the first metric that people have values of, at the first cut-off."""
    metrics = [name for name in result.config.metrics if name in set(frame["metric"])]
    return frame.filter(metric=metrics[0], k=result.config.k[0]) if metrics else frame.clear()


def _slices(result: Result) -> Panel:
    reference = result.config.compared_with
    own = first(result, result.slices).filter(model=reference)
    digits = digits_for(own["high"].drop_nulls().to_list())
    rows = []
    for row in own.to_dicts():
        value = TOO_FEW if row["value"] is None else number(row["value"], digits)
        rows.append(
            (row["dimension"], row["slice"], f"{row['people']:,}", value, span(row, "low", "high", digits))
        )
    drawn = _drawn_slices(result, own)
    return Panel(
        "slices",
        "For whom",
        "For whom: " + _measure(own) + f" of {CONTESTANTS[reference].title}",
        (
            *_worst(result),
            f"A slice of fewer than {result.config.slice_people} people has no figures.",
            "Topic, language and kind are those of most of what a person took up in the test.",
            _counted(result),
        ),
        ("By", "Slice", "People", "Value", "Interval"),
        tuple(rows),
        2,
        intervals=(drawn,) if drawn.groups else (),
    )


def _counted(result: Result) -> str:
    if result.facts["people_granting"] is None:
        return "A signal counts as shared where a person has an event of it: these data do not say what was granted and never used."
    return "A signal counts as shared where a person granted it for measuring, whether or not they used it."


def _drawn_slices(result: Result, own: pl.DataFrame) -> Intervals:
    """The slices that have figures, by dimension, beside everyone's value."""
    worst = {
        (row["dimension"], row["slice"])
        for row in first(result, result.worst).filter(verdict="worse").to_dicts()
    }
    groups = [
        Group(
            dimension[:1].upper() + dimension[1:],
            tuple(
                Row(
                    f"{row['slice']} ({row['people']:,})",
                    row["value"],
                    row["low"],
                    row["high"],
                    mark="worse" if (dimension, row["slice"]) in worst else "",
                )
                for row in rows
            ),
        )
        for dimension, rows in groupby(own.drop_nulls("value").to_dicts(), lambda row: str(row["dimension"]))
    ]
    everyone = first(result, result.scores).filter(model=result.config.compared_with)["value"].to_list()
    beside = (everyone[0], "everyone") if everyone and everyone[0] is not None else None
    caption = "In brackets, how many people. The dashed line is everyone's value."
    return Intervals(_measure(own), caption, "People", tuple(groups), beside=beside)


def _measure(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return ""
    return f"{METRICS[frame['metric'][0]].title}@{frame['k'][0]}"


def _worst(result: Result) -> Sequence[str]:
    return [
        f"Worst slice of {row['looked_at']}: {row['dimension']}, {row['slice']} ({number(row['value'], digits)}; "
        f"everyone else {number(row['rest'], digits)}; {row['verdict']}, by an interval for all {row['looked_at']} slices)."
        for row in first(result, result.worst).to_dicts()
        for digits in [digits_for([row["value"], row["rest"]])]
    ]


def _sharing(result: Result) -> Panel:
    rows = first(result, result.sharing).to_dicts()
    digits = digits_for([row["more"] for row in rows])
    return Panel(
        "sharing",
        "Sharing more",
        "People who share more and people who share less",
        (
            "More is above the median.",
            "People who share more may be easier to predict for other reasons: this is what they get, not what sharing gave them.",
        ),
        ("Model", "Share more", "Less", "More", "Interval of difference", "Those who share more fare"),
        tuple(
            (
                CONTESTANTS[row["model"]].title,
                row["by"],
                number(row["less"], digits),
                number(row["more"], digits),
                span(row, "low", "high", digits),
                row["verdict"],
            )
            for row in rows
        ),
        2,
    )


_MEASURES = {
    "sum_fidelity": "Items whose reasons sum to the score (share)",
    "validity": "Fall of rank without the top-cited signal, less without another (doublings)",
    "validity_share": "Items that fall further without the top-cited signal (share)",
    "lines": "Lines of an explanation",
    "lines_for_most": "Lines that make up 80 % of it",
    "same_signal": "Same top-cited signal under another seed (share)",
    "same_lines": "Overlap of the three largest lines under another seed",
}


def _explanations(found: pl.DataFrame) -> Panel:
    return Panel(
        "explanations",
        "Explanations",
        "Explanations",
        ("Of the lists that Assent as shipped gives; used items may be listed.",),
        ("Measure", "Mean", "Interval", "People"),
        tuple(
            (
                _MEASURES[row["measure"]],
                "not defined" if row["value"] is None else number(row["value"], 3),
                span(row, "low", "high", 3),
                f"{row['people']:,}",
            )
            for row in found.to_dicts()
        ),
    )
