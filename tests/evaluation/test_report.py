import itertools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import sync_playwright
from rich.console import Console

from evaluation import datasets, report
from evaluation.config import ExperimentConfig
from evaluation.contestants import CONTESTANTS
from evaluation.experiment import Result, run
from evaluation.report import terminal
from evaluation.report.drawings import Curve, Line, Point, apart
from evaluation.report.plots import number, scale
from evaluation.report.summary import further, summary
from tests.browser.axe import violations
from tests.evaluation import generated

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCHEMES = ["light", "dark", "print"]
VOID = {"meta", "line", "circle", "rect", "link", "br"}


@pytest.fixture(scope="module")
def result() -> Result:
    """A small result, of a data set whose name would break out of HTML if it were not escaped."""
    config = {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "bootstrap_samples": 200,
        "trials": 2,
        "seeds": 2,
        "slice_people": 10,
        "training": {"components": 8, "epochs": 1},
        "consent_value": {"seeds": 1, "draws": 1, "subsets": 8, "opt_in": [0.3, 1.0]},
        "erasure_drift": {"shares": [0.1], "shards": 2},
    }
    return run(
        ExperimentConfig.model_validate(config), given=datasets.Dataset("<b>world</b>", generated.events())
    )


class Page(HTMLParser):
    """Collects tags, and finds those that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestHtml:
    def test_needs_nothing_else(self, result: Result) -> None:
        """The page has no script and loads nothing."""
        text = report.html(result)
        tags = Page(text).tags
        assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object"}
        assert not [1 for _, attributes in tags if {"src", "srcset"} & set(attributes)]
        links = [attributes["href"] or "" for _, attributes in tags if "href" in attributes]
        names = {attributes["id"] for _, attributes in tags if "id" in attributes}
        assert links
        assert all(link[0] == "#" and link[1:] in names for link in links)
        assert "url(" not in text
        assert "@import" not in text

    def test_is_well_formed(self, result: Result) -> None:
        """Every tag is closed in order; the page has a language, a title and one first heading; the name is escaped."""
        text = report.html(result)
        page = Page(text)
        assert page.open == []
        assert ("html", {"lang": "en"}) in page.tags
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert "<title>Offline evaluation: &lt;b&gt;world&lt;/b&gt;</title>" in text
        assert "<b>world" not in text

    def test_drawings_are_described_or_hidden(self, result: Result) -> None:
        """Every drawing repeats what a table says and is hidden, or is labelled; header cells have a scope."""
        tags = Page(report.html(result)).tags
        for _, attributes in [tag for tag in tags if tag[0] == "svg"]:
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        assert all("scope" in attributes for tag, attributes in tags if tag == "th")
        names = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(names) == len(set(names))
        assert {a["aria-labelledby"] for _, a in tags if "aria-labelledby" in a} <= set(names)

    def test_shows_every_figure(self, result: Result) -> None:
        """Every model's value is in the page as in the table for the terminal."""
        text = report.html(result)
        for title in (CONTESTANTS[model].title for model in result.config.models):
            assert title in text
        assert "canary" not in text

    def test_shows_the_noise_of_seeds(self, result: Result) -> None:
        """Beside each model stands how far its figure spreads over seeds, or that chance has no part in it."""
        text = report.html(result)
        spread = dict(result.scores.filter(metric="ndcg", k=10).select("model", "seed_sd").rows())
        assert spread["ours"] > 0
        assert f'<td class="num">{spread["ours"]:.2g}</td>' in text
        assert text.count('<td class="num">no chance in it</td>') == list(spread.values()).count(0)

    def test_every_drawing_has_its_table(self, result: Result) -> None:
        """Each drawn row is a row of a table, and each section with a curve has the figures as a table."""
        tags = Page(report.html(result)).tags
        drawn = [attributes for tag, attributes in tags if tag == "svg" and attributes.get("class") == "plot"]
        rows = [attributes for tag, attributes in tags if attributes.get("role") == "rowheader"]
        groups = [attributes for attributes in rows if attributes["scope"] == "rowgroup"]
        assert len(drawn) == len(rows) - len(groups) > 0
        assert [tag for tag, _ in tags].count("caption") == [tag for tag, _ in tags].count("table")
        text = report.html(result)
        sections = re.findall(r"<section.*?</section>", text, re.DOTALL)
        curves = [section for section in sections if 'class="curve"' in section]
        assert len(curves) == 2
        assert all('<table class="wide">' in section for section in curves)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_colours_can_be_read(self, result: Result, scheme: str) -> None:
        """Text has a contrast of 4.5 on every background, marks one of 3 (WCAG 2.2, 1.4.3 and 1.4.11)."""
        blocks = re.findall(r":root \{(.*?)\}", report.html(result), re.DOTALL)
        colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[SCHEMES.index(scheme)]))
        for ground in ("page", "card", "wash"):
            for name in (
                "ink",
                "soft",
                "ours",
                "better",
                "worse",
                "first",
                "second",
                "third",
                "fourth",
                "fifth",
            ):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in ("mark", "test"):
            assert contrast(colours[name], colours["card"]) >= 3, name

    @pytest.mark.browser
    @pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
    @pytest.mark.parametrize("width", [320, 1200])
    def test_fits_a_phone_and_a_desk(self, result: Result, tmp_path: Path, width: int) -> None:
        """The page is never wider than the screen, and each drawn point lies between the ends of its interval."""
        path = report.write(result, tmp_path)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            points = page.eval_on_selector_all(
                "#accuracy svg.plot, #against svg.plot, #metrics svg.plot",
                "all => all.map(s => [s.querySelector('.whisker'), s.querySelector('circle')].map(e => e.getBoundingClientRect()))"
                ".map(([w, c]) => [w.left, c.left + c.width / 2, w.right])",
            )
            browser.close()
        metrics = len(result.scores["metric"].unique()) - 1  # all but calibration, which needs topics
        assert len(points) == metrics * len(result.config.models) + 3 * (len(result.config.models) - 1)
        assert all(left - 1 <= middle <= right + 1 for left, middle, right in points)

    @pytest.mark.browser
    @pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
    @pytest.mark.parametrize("width", [390, 1280])
    def test_is_accessible(self, result: Result, tmp_path: Path, width: int) -> None:
        """Nothing on it breaks WCAG 2.2 AA or good practice, on a phone and a desk, by day and by night."""
        path = report.write(result, tmp_path)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.goto(path.as_uri())
            found = violations(page)
            browser.close()
        assert not found, "\n".join(found)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_writes_html_and_json(result: Result, tmp_path: Path) -> None:
    """Both files land in the folder, which is made; the path of the page comes back."""
    path = report.write(result, tmp_path / "new" / "folder")
    assert path.name == "report.html"
    assert (
        json.loads((path.parent / "report.json").read_text(encoding="utf-8"))["facts"]["dataset"]
        == "<b>world</b>"
    )


@pytest.mark.parametrize("factor", [1.0, 0.05])
def test_terminal_table_fits_80_columns(result: Result, factor: float) -> None:
    """Every model, value and interval is readable on a terminal of 80 columns, also where figures are small."""
    bounds = [pl.col(name) * factor for name in ("value", "low", "high")]
    shown = replace(result, scores=result.scores.with_columns(bounds))
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal.table(shown))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for title in (CONTESTANTS[model].title for model in result.config.models):
        assert title in text
    value = shown.scores.filter(model="ours", metric="ndcg")["value"][0]
    assert (f"{value:.3f}" if factor == 1 else f"{value:.4f}") in text


def test_summary_uses_the_words_of_the_intervals(result: Result) -> None:
    """The summary says better only of those whose interval says so."""
    said = " ".join(summary(result))
    verdicts = dict(result.differences.filter(metric="ndcg", k=10).select("model", "verdict").rows())
    assert ("better than" in said) == ("better" in verdicts.values())
    assert ("worse than" in said) == ("worse" in verdicts.values())
    assert ("no clear difference" in said) == ("no clear difference" in verdicts.values())


def test_summary_says_what_consent_and_erasure_do(result: Result) -> None:
    """Signals are named as adding something only where their share clearly does; erasing is held against another seed."""
    assert result.consent is not None
    assert result.drift is not None
    said = " ".join(further(result))
    clear = result.consent.signals.filter(way="shapley", verdict="better")["signal"].to_list()
    named = said.split("Signals that clearly add to accuracy: ")[-1].split(".")[0] if clear else ""
    assert all((signal in named) == (signal in clear) for signal in ("views", "completions", "saves"))
    last = result.drift.lists.filter(against="before")[-1].to_dicts()[0]
    assert f"With {last['share']:.0%} of people erased" in said
    assert ("more than another seed moves them" in said) == (last["noise"] == "more than seed noise")


def test_terminal_tells_everything_on_80_columns(result: Result) -> None:
    """Sentences come first, then the table, then what to know before believing it."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal.told(result))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    places = [text.index(part) for part in ("60 people measured", summary(result)[0], "Seconds", "To know:")]
    assert places == sorted(places)


def test_names_of_lines_never_overlap() -> None:
    """Names stand where their lines end, or as near as keeps them apart; none falls below the drawing."""
    assert apart([20.0, 100.0]) == [20.0, 100.0]
    crowded = apart([200.0, 201.0, 205.0, 210.0])
    assert all(later - earlier >= 16 for earlier, later in itertools.pairwise(crowded))
    assert crowded[-1] <= 210


def test_a_curve_of_one_point_stands_in_the_middle() -> None:
    """With one place on the axis there is no length to divide by; it is drawn in the middle."""
    drawn = Curve("", "", "", "", ((0.5, "50%"),), (Line("all", "first", (Point(0.5, 0.2),)),))
    assert drawn.left(0.5) == 50
    assert drawn.top(0.0) == 210


@pytest.mark.parametrize("values", [[0.0], [0.0101, 0.0199], [-0.3, 0.7], [-5.0, -2.0], [123_456.0]])
def test_scales_hold_zero_and_all_values(values: list[float]) -> None:
    """A scale has 2 to 7 evenly spaced ticks, one of them zero, and no value outside."""
    made = scale(values)
    assert made.low <= min(0, *values) <= max(0, *values) <= made.high
    assert 2 <= len(made.ticks) <= 7
    assert 0 in made.ticks
    assert len({made.label(tick) for tick in made.ticks}) == len(made.ticks)


def test_numbers_are_written_for_people() -> None:
    """A true minus sign, and no minus zero."""
    assert [number(x, 2) for x in (-1.234, -0.001, 0.5)] == ["−1.23", "0.00", "0.50"]  # noqa: RUF001  the minus sign is meant
