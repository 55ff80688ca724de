"""What people read: one HTML file that needs nothing else, the same as JSON, and a table for the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.box import SIMPLE_HEAD
from rich.table import Table

from evaluation.contestants import CONTESTANTS, OURS
from evaluation.metrics import MEANINGS, TITLES
from evaluation.plots import Scale, digits_for, number, scale
from evaluation.result import Result

HTML, JSON = "report.html", "report.json"


def write(result: Result, folder: Path) -> Path:
    """Write `report.html` and `report.json` into a folder, made when it is not there; return the HTML file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON).write_text(result.to_json() + "\n", encoding="utf-8")
    page = folder / HTML
    page.write_text(html(result), encoding="utf-8")
    return page


def html(result: Result) -> str:
    """The whole report as one page without scripts, and without anything to load."""
    environment = Environment(
        loader=PackageLoader("evaluation", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        result=result,
        config=result.config.model_dump_json(indent=2),
        percent=f"{result.config.confidence:.0%}".replace("%", "\N{NO-BREAK SPACE}%"),
        summary=summary(result),
        contestants=CONTESTANTS,
        charts=_charts(result, result.scores, "value"),
        gaps=_charts(result, result.differences, "difference"),
        timeline=_timeline(result),
        number=number,
    )


def table(result: Result) -> Table:
    """The scores for a terminal of 80 columns: a row for each model, the interval under each value, then the summary."""
    facts, charts = result.facts, _charts(result, result.scores, "value")
    confidence = f"{result.config.confidence:.0%} interval: paired bootstrap over people"
    shown = Table(
        title=f"{facts['dataset']}: {facts['users_measured']:,} people, {facts['items']:,} items",
        caption="\n".join([confidence, *summary(result)]),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        pad_edge=False,
        show_edge=False,
    )
    shown.add_column("Model", no_wrap=True)
    for chart in charts:
        shown.add_column(chart.title, justify="right", no_wrap=True)
    shown.add_column("Seconds", justify="right", no_wrap=True)
    for spent in result.models.to_dicts():
        model = spent["model"]
        rows = [row for chart in charts for row in chart.rows if row.model == model]
        cells = [f"{row.value}\n[dim]{row.low}..{row.high}[/dim]" for row in rows]
        seconds = spent["choosing_s"] + spent["fitting_s"] + spent["ranking_s"]
        style = "bold" if model == OURS else ""
        shown.add_row(CONTESTANTS[model].title, *cells, f"{seconds:.1f}", style=style)
    return shown


def summary(result: Result) -> list[str]:
    """The outcome in sentences, by the first metric and cut-off. "Better" and "worse" only where the interval says so."""
    metric, k = result.config.metrics[0], result.config.k[0]
    name = f"{TITLES[metric]}@{k}"
    rows = {row["model"]: row for row in _of(result.scores, metric, k)}
    digits = digits_for([row["high"] for row in rows.values()])
    if OURS not in rows:
        best = max(rows.values(), key=lambda row: float(row["value"]))
        return [
            f"The highest {name} is {number(best['value'], digits)}, by {CONTESTANTS[best['model']].title}."
        ]
    ours = rows[OURS]
    sentences = [
        f"Assent reaches an {name} of {number(ours['value'], digits)} "
        f"({number(ours['low'], digits)} to {number(ours['high'], digits)})."
        if metric == "ndcg"
        else f"Assent's {name} is {number(ours['value'], digits)} ({number(ours['low'], digits)} to {number(ours['high'], digits)})."
    ]
    groups: dict[str, list[str]] = {}
    for row in _of(result.differences, metric, k):
        groups.setdefault(row["verdict"], []).append(CONTESTANTS[row["model"]].title)
    words = {
        "better": "It is better than {}.",
        "no clear difference": "There is no clear difference from {}.",
        "worse": "It is worse than {}.",
    }
    return sentences + [
        text.format(_listed(groups[verdict])) for verdict, text in words.items() if verdict in groups
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


@dataclass(frozen=True)
class Row:
    """A row of a chart: numbers as written, and their places on the scale."""

    model: str
    title: str
    value: str
    low: str
    high: str
    at: str
    from_: str
    to: str
    verdict: str


@dataclass(frozen=True)
class Chart:
    """A metric at a cut-off for all models."""

    metric: str
    k: int
    title: str
    meaning: str
    scale: Scale
    rows: tuple[Row, ...]


def _of(frame: pl.DataFrame, metric: str, k: int) -> list[dict[str, Any]]:
    return frame.filter(pl.col("metric") == metric, pl.col("k") == k).to_dicts()


def _charts(result: Result, frame: pl.DataFrame, value: str) -> list[Chart]:
    found = ((metric, k, _of(frame, metric, k)) for metric in result.config.metrics for k in result.config.k)
    return [_chart(metric, k, rows, value) for metric, k, rows in found if rows]


def _chart(metric: str, k: int, rows: list[dict[str, Any]], value: str) -> Chart:
    ends = [row[end] for row in rows for end in ("low", "high")]
    made, digits = scale(ends), digits_for(ends)
    drawn = (_row(row, row[value], made, digits) for row in rows)
    return Chart(metric, k, f"{TITLES[metric]}@{k}", MEANINGS[metric], made, tuple(drawn))


def _row(row: Mapping[str, Any], value: float, made: Scale, digits: int) -> Row:
    low, high = row["low"], row["high"]
    return Row(
        model=row["model"],
        title=CONTESTANTS[row["model"]].title,
        value=number(value, digits),
        low=number(low, digits),
        high=number(high, digits),
        at=made.at(value),
        from_=made.at(low),
        to=made.at(high),
        verdict=row.get("verdict", ""),
    )


def _timeline(result: Result) -> dict[str, Any]:
    """Bars of uptakes over time, train below test, as percent of the width and of the highest bar."""
    rows = result.timeline.to_dicts()
    most = max(row["train"] + row["test"] for row in rows)
    width = 100 / len(rows)
    bars = [
        {
            "x": f"{width * place:.2f}%",
            "train": 100 * row["train"] / most,
            "both": 100 * (row["train"] + row["test"]) / most,
        }
        for place, row in enumerate(rows)
    ]
    days = [str(np.datetime64(row["start"], "us").astype("datetime64[D]")) for row in rows]
    marks = [
        {"x": f"{width * place:.2f}%", "day": days[place]} for place in range(0, len(rows), len(rows) // 4)
    ]
    return {"bars": bars, "width": f"{width * 0.82:.2f}%", "marks": marks, "most": most}
