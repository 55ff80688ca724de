"""What axe-core finds wrong with a page: WCAG 2.2 to level AA, and what its makers call best practice."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_EVERYTHING = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
_BY_NIGHT = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}
"""The rules that look at colours; to all others a page is the same by night."""
_axe = Axe()


def violations(page: Page) -> list[str]:
    """Open whatever is folded on the page; return each rule it breaks by day or by night, with the elements that do and why."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.emulate_media(color_scheme="light")
    by_day = _broken(page, _EVERYTHING)
    page.emulate_media(color_scheme="dark")
    by_night = _broken(page, _BY_NIGHT)
    page.emulate_media(color_scheme="light")
    return by_day + [f"{each} (by night)" for each in by_night]


def _broken(page: Page, options: dict[str, Any]) -> list[str]:
    found: dict[str, Any] = _axe.run(page, options=options).response
    assert found["toolOptions"]["runOnly"] == options["runOnly"]
    return [
        f"{broken['id']} ({broken['help']}): {node['target']} {node['failureSummary']} {node['html'][:200]}"
        for broken in found["violations"]
        for node in broken["nodes"]
    ]
