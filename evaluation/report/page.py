"""The page: HTML that needs nothing else, written beside the same figures as JSON."""

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.comparison import JSON, PEOPLE
from evaluation.contestants import CONTESTANTS
from evaluation.report.accuracy import compared, every_metric, headlines, of, scored
from evaluation.report.panels import panels
from evaluation.report.plots import number
from evaluation.report.summary import further, summary
from evaluation.result import Result

HTML = "report.html"


def write(result: Result, folder: Path) -> Path:
    """Write `report.html` and `report.json` into a folder, made when it is not there; return the HTML file's path.

    `people.parquet` has each person's values by number, so that reports can be compared person by person. It is not
    written where the events are people's own data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not result.facts["personal"]:
        result.all_people().write_parquet(folder / PEOPLE)
    (folder / JSON).write_text(result.to_json() + "\n", encoding="utf-8")
    page = folder / HTML
    page.write_text(html(result), encoding="utf-8")
    return page


def html(result: Result) -> str:
    """The whole report as one page without scripts, and without anything to load."""
    environment = Environment(
        loader=PackageLoader("evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts, gaps = scored(result, result.config.metrics), compared(result, headlines(result))
    main = headlines(result)[0]
    return environment.get_template("page.html").render(
        result=result,
        config=result.config.model_dump_json(indent=2),
        percent=f"{result.config.confidence:.0%}".replace("%", "\N{NO-BREAK SPACE}%"),
        summary=[*summary(result), *further(result)],
        contestants=CONTESTANTS,
        reference_title=CONTESTANTS[result.config.compared_with].title,
        charts=[chart for chart in charts if chart.metric == main],
        other_charts=[chart for chart in charts if chart.metric != main],
        gaps=[chart for chart in gaps if chart.metric == main],
        other_gaps=[chart for chart in gaps if chart.metric != main],
        every_metric={k: every_metric(result, k) for k in result.config.k},
        spread=_spread(result),
        timeline=_timeline(result),
        panels=panels(result),
        number=number,
    )


def _spread(result: Result) -> dict[str, str]:
    """By model, the standard deviation of the first metric over seeds; in words where there is none."""
    rows = of(result.scores, headlines(result)[0], result.config.k[0])
    words = {None: "one seed alone", 0.0: "no chance in it"}
    return {row["model"]: words.get(row["seed_sd"]) or f"{row['seed_sd']:.2g}" for row in rows}


def _timeline(result: Result) -> dict[str, Any]:
    """Bars of uptakes over time, train below test, as percent of the width and of the highest bar."""
    rows = result.timeline.to_dicts()
    most = max(row["train"] + row["test"] for row in rows)
    width = 100 / len(rows)
    days = [str(np.datetime64(row["start"], "us").astype("datetime64[D]")) for row in rows]
    bars = [
        {
            "x": f"{width * place:.2f}%",
            "train": 100 * row["train"] / most,
            "both": 100 * (row["train"] + row["test"]) / most,
        }
        for place, row in enumerate(rows)
    ]
    written = slice(None) if days[-1] < _years_after(days[0], 2) else slice(7)
    marks = [
        {"x": f"{width * place:.2f}%", "name": days[place][written]}
        for place in range(0, len(rows), len(rows) // 4)
    ]
    table = [(day, f"{row['train']:,}", f"{row['test']:,}") for day, row in zip(days, rows, strict=True)]
    return {"table": table, "bars": bars, "width": f"{width * 0.82:.2f}%", "marks": marks, "most": most}


def _years_after(day: str, years: int) -> str:
    """The same day some years later, as text that sorts like days."""
    return f"{int(day[:4]) + years:04}{day[4:]}"
