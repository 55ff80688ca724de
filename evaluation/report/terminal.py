"""What a terminal of 80 columns shows: the outcome in sentences, a table of the models, and what changed between reports."""

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evaluation.comparison import Comparison
from evaluation.contestants import CONTESTANTS
from evaluation.metrics import METRICS
from evaluation.report.accuracy import HEADLINES, headlines, scored
from evaluation.report.plots import digits_for, number
from evaluation.report.summary import further, summary
from evaluation.result import Result


def told(result: Result) -> Group:
    """The outcome: what was measured on what, sentences, the table, and what to know before believing it."""
    facts, metric = result.facts, METRICS[headlines(result)[0]]
    people = "1 person" if facts["users_measured"] == 1 else f"{facts['users_measured']:,} people"
    head = f"{facts['dataset']}: {people} measured, {facts['items']:,} items ranked for each."
    means = f"{metric.title}@{result.config.k[0]}: {metric.meaning}."
    confidence = (
        f"Below each value, its {result.config.confidence:.0%} interval (paired bootstrap over people)."
    )
    notes: list[RenderableType] = []
    if result.notes:
        notes = [Text("To know:", style="bold"), *(_point(note) for note in result.notes)]
    return Group(
        Text(head, style="bold"),
        "",
        *(_point(sentence) for sentence in [*summary(result), *further(result)]),
        "",
        table(result),
        Text(means, style="dim"),
        Text(confidence, style="dim"),
        Text("Seconds: choosing, learning and ranking, by the clock.", style="dim"),
        *notes,
    )


def _point(sentence: str) -> Padding:
    return Padding(Text(f"- {sentence}"), (0, 0, 0, 2))


def table(result: Result) -> Table:
    """The scores: a row for each model, the interval under each value."""
    charts = [chart for chart in scored(result, headlines(result)) if chart.k == result.config.k[0]]
    shown = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False)
    shown.add_column("Model", no_wrap=True)
    for chart in charts:
        shown.add_column(chart.name, justify="right", no_wrap=True)
    shown.add_column("Seconds", justify="right", no_wrap=True)
    for spent in result.models.to_dicts():
        title = CONTESTANTS[spent["model"]].title
        cells = [
            f"{number(row.value, drawn.digits)}\n[dim]{number(row.low, drawn.digits)}..{number(row.high, drawn.digits)}[/dim]"
            for drawn in (chart.drawn for chart in charts)
            for row in drawn.groups[0].rows
            if row.title == title
        ]
        seconds = spent["choosing_s"] + spent["fitting_s"] + spent["ranking_s"]
        style = "bold" if spent["model"] == result.config.compared_with else ""
        shown.add_row(title, *cells, f"{seconds:.1f}", style=style)
    return shown


def changes(found: Comparison) -> Table:
    """What changed from one report to another: a row for each model and headline metric."""
    metrics = list(dict.fromkeys(found.frame["metric"]))
    first = [metric for metric in HEADLINES if metric in metrics] or metrics[:3]
    shown = Table(
        caption="\n".join(found.notes),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for column in ("Model", "Metric", "A", "B", "B - A", "B is"):
        shown.add_column(column, justify="left" if column in {"Model", "Metric", "B is"} else "right")
    for row in found.frame.filter(
        pl.col("metric").is_in(first), pl.col("difference").is_not_null()
    ).to_dicts():
        digits = digits_for([row["a"], row["b"]])
        a, b, low, high = (number(row[name], digits) for name in ("a", "b", "low", "high"))
        gap = f"{number(row['difference'], digits)}\n[dim]{low}..{high}[/dim]"
        about = METRICS[row["metric"]]
        shown.add_row(CONTESTANTS[row["model"]].title, f"{about.title}@{row['k']}", a, b, gap, row["verdict"])
    return shown
