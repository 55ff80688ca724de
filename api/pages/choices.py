"""From the form on the consent page to choices: only what the person changed on it, and never what they did not touch."""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

from consent.ledger import ENDINGS, GRANTING, Cell, Change, Choice, State
from consent.prompts import ENDS_SOON
from consent.purposes import Purpose
from consent.signals import SIGNALS

Name = tuple[str, Purpose]
"""A cell by its signal and purpose."""


class Deed(StrEnum):
    """The buttons of the form."""

    SAVE = "save"
    ALL_ON = "all_on"
    ALL_OFF = "all_off"
    RENEW = "renew"
    AGAIN = "again"


def written(cell: Cell) -> str:
    """Write a cell as the form does: `views.personalise`."""
    return f"{cell.signal}.{cell.purpose.value}"


def read(values: Iterable[str]) -> set[Name]:
    """Read cells from a form; what is none counts for nothing."""
    names = {
        f"{signal.id}.{purpose.value}": (signal.id, purpose)
        for signal in SIGNALS.values()
        for purpose in signal.purposes
    }
    return {names[value] for value in values if value in names}


def on(cell: Cell) -> bool:
    """Tell whether a cell, as it stands now, allows its use."""
    return cell.state in GRANTING


def ends_soon(cell: Cell, now: int) -> bool:
    """Tell whether a yes ends by itself before long."""
    return on(cell) and cell.expires_at is not None and cell.expires_at - now <= ENDS_SOON


def chosen(
    deed: Deed, cells: Sequence[Cell], ticked: Collection[Name], shown: Collection[Name], now: int
) -> list[Change]:
    """Return the choices in a form.

    Args:
        deed: which button was pressed.
        cells: every cell as it stands now.
        ticked: the cells that are ticked in the form.
        shown: the cells that were on when the page was made. What the person did not touch stays as it is, also
            when it was changed elsewhere since.
        now: the moment, in microseconds.
    """
    match deed:
        case Deed.ALL_ON:
            return [_give(cell) for cell in cells if not on(cell)]
        case Deed.ALL_OFF:
            return [_off(cell) for cell in cells if on(cell) or cell.state is State.UNKNOWN]
        case Deed.RENEW:
            return [_give(cell) for cell in cells if ends_soon(cell, now)]
        case Deed.AGAIN:
            return [_give(cell) for cell in cells if cell.state in ENDINGS]
        case Deed.SAVE:
            touched = [cell for cell in cells if (_name(cell) in ticked) != (_name(cell) in shown)]
            return [
                _give(cell) if _name(cell) in ticked else _off(cell)
                for cell in touched
                if (_name(cell) in ticked) != on(cell)
            ]


def _name(cell: Cell) -> Name:
    return cell.signal, cell.purpose


def _give(cell: Cell) -> Change:
    return Change(cell.signal, cell.purpose, Choice.GIVEN)


def _off(cell: Cell) -> Change:
    """What was on is withdrawn; what never was is refused."""
    return Change(cell.signal, cell.purpose, Choice.WITHDRAWN if on(cell) else Choice.REFUSED)
