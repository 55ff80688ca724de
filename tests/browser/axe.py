"""What axe-core finds wrong with a page: WCAG 2.2 to level AA, and what its makers call best practice."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_OPTIONS = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
_axe = Axe()


def violations(page: Page) -> list[str]:
    """Open whatever is folded on the page; return each rule it breaks, with the elements that do and why."""
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found: dict[str, Any] = _axe.run(page, options=_OPTIONS).response
    assert "best-practice" in found["toolOptions"]["runOnly"]["values"]
    return [
        f"{broken['id']} ({broken['help']}): {node['target']} {node['failureSummary']} {node['html'][:200]}"
        for broken in found["violations"]
        for node in broken["nodes"]
    ]
