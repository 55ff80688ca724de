"""What the consent page says beside on and off: what ended, what the app asks no more about for a time, and who may turn things on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.sessions import Visitor
from api.service import Service
from consent import prompts
from consent.ledger import ENDINGS, GRANTING, GUARDIAN, Cell
from consent.minors import AgeBand, Minors
from consent.prompts import Because


@dataclass(frozen=True)
class Peace:
    """Cells about which the app asks nothing before a moment, put together by day."""

    not_before: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Standing:
    """How a person's cells stand, for whoever looks at them."""

    ended: Sequence[Cell]
    quiet: Sequence[Peace]
    minor: bool
    """The person looks themselves, and only a guardian may turn things on."""
    guardian: bool
    """A guardian looks."""
    unprofiled: bool
    """Nobody may turn on what profiles this person."""
    _minors: Minors
    _band: AgeBand | None

    def may_give(self, cell: Cell) -> bool:
        """Tell whether whoever looks may turn a cell on."""
        return not self.minor and self._minors.allows(self._band, cell.purpose)

    def by_guardian(self, cell: Cell) -> bool:
        """Tell whether a cell is on by a guardian's word."""
        return cell.actor_type == GUARDIAN and cell.state in GRANTING


def standing(service: Service, who: Visitor, cells: Sequence[Cell], band: AgeBand | None) -> Standing:
    """Return how a person's cells, as they are now, stand for who looks at them."""
    minors, now = service.minors, service.clock()
    days: defaultdict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        found = prompts.askable(cell, band, now, minors, service.quiet)
        if found.not_before is not None and found.because in _ASKED_BEFORE:
            days[found.not_before // prompts.DAY * prompts.DAY].append(cell)
    return Standing(
        ended=[cell for cell in cells if cell.state in ENDINGS],
        quiet=[Peace(day, days[day]) for day in sorted(days)],
        minor=minors.needs_guardian(band) and who.guardian is None,
        guardian=who.guardian is not None,
        unprofiled=not all(minors.allows(band, cell.purpose) for cell in cells),
        _minors=minors,
        _band=band,
    )


_ASKED_BEFORE = frozenset({Because.REFUSED, Because.WITHDRAWN, Because.DISMISSED, Because.UNANSWERED})
