"""From a form to choices, without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages import choices
from api.pages.choices import Deed
from consent.ledger import Cell, Change, Choice, State
from consent.prompts import ENDS_SOON
from consent.purposes import Purpose
from consent.signals import SIGNALS

NOW = 1_790_000_000_000_000
NAMES = [(signal, purpose) for signal in SIGNALS for purpose in Purpose]
VIEWS, SAVES = ("views", Purpose.PERSONALISE), ("saves", Purpose.PERSONALISE)


def cells(**states: State) -> list[Cell]:
    """Every cell; `views=State.GIVEN` sets the one to personalise."""
    return [
        Cell(
            signal,
            purpose,
            states.get(signal, State.UNKNOWN) if purpose is Purpose.PERSONALISE else State.UNKNOWN,
        )
        for signal, purpose in NAMES
    ]


def made(changes: list[Change]) -> set[tuple[str, Choice]]:
    """Return signals with what was chosen."""
    return {(change.signal, change.choice) for change in changes}


def test_a_new_tick_gives_and_a_removed_tick_withdraws() -> None:
    """What was off and is ticked is given, what was on and is not is withdrawn."""
    found = choices.chosen(Deed.SAVE, cells(views=State.GIVEN), {SAVES}, {VIEWS}, NOW)
    assert made(found) == {("saves", Choice.GIVEN), ("views", Choice.WITHDRAWN)}


def test_what_nobody_touched_is_not_recorded_as_refused() -> None:
    """Saving the form as it came changes nothing."""
    assert choices.chosen(Deed.SAVE, cells(views=State.RENEWED), {VIEWS}, {VIEWS}, NOW) == []


def test_an_old_page_does_not_undo_what_was_chosen_elsewhere() -> None:
    """A cell turned on in another tab stays on when this tab, which shows it off, saves something else."""
    found = choices.chosen(Deed.SAVE, cells(views=State.GIVEN), {SAVES}, set(), NOW)
    assert made(found) == {("saves", Choice.GIVEN)}


def test_turning_everything_off_says_no_to_what_was_never_chosen() -> None:
    """The explicit button withdraws what is on, refuses what is unknown, and repeats no earlier no."""
    found = choices.chosen(Deed.ALL_OFF, cells(views=State.GIVEN, saves=State.REFUSED), set(), set(), NOW)
    assert len(found) == len(NAMES) - 1
    assert ("views", Choice.WITHDRAWN) in made(found)
    assert all(change.choice is Choice.REFUSED for change in found if change.signal != "views")


def test_turning_everything_on_leaves_what_is_on() -> None:
    """Everything that is off is given, and nothing that is on is renewed by it."""
    found = choices.chosen(Deed.ALL_ON, cells(views=State.GIVEN), set(), set(), NOW)
    assert len(found) == len(NAMES) - 1
    assert {change.choice for change in found} == {Choice.GIVEN}


def test_renewing_touches_only_what_ends_soon() -> None:
    """A yes that ends within thirty days is given again; one that lasts longer is not."""
    soon = Cell("views", Purpose.PERSONALISE, State.GIVEN, expires_at=NOW + ENDS_SOON)
    later = Cell("saves", Purpose.PERSONALISE, State.GIVEN, expires_at=NOW + ENDS_SOON + 1)
    assert made(choices.chosen(Deed.RENEW, [soon, later], set(), set(), NOW)) == {("views", Choice.GIVEN)}


@pytest.mark.parametrize("ended", [State.EXPIRED, State.INVALIDATED, State.TERMINATED])
def test_what_ended_by_itself_is_given_again_by_a_button_of_its_own(ended: State) -> None:
    """Neither saving nor renewing gives again what ended: the button does, and gives nothing that was refused."""
    now = cells(views=ended, saves=State.REFUSED)
    assert made(choices.chosen(Deed.AGAIN, now, set(), set(), NOW)) == {("views", Choice.GIVEN)}
    for deed in (Deed.RENEW, Deed.SAVE):
        assert choices.chosen(deed, now, set(), set(), NOW) == []


@given(st.lists(st.text(max_size=40)))
def test_nonsense_in_a_form_is_no_cell(values: list[str]) -> None:
    """Whatever a form holds, only cells that exist come out of it."""
    assert choices.read(values) <= set(NAMES)


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_saving_never_changes_what_is_as_wanted(
    ticked: set[choices.Name], shown: set[choices.Name], granted: set[choices.Name]
) -> None:
    """A saved form only ever gives what is off and ticked, and withdraws or refuses what was shown and is not."""
    now = [Cell(*name, State.GIVEN if name in granted else State.UNKNOWN) for name in NAMES]
    for change in choices.chosen(Deed.SAVE, now, ticked, shown, NOW):
        name = (change.signal, change.purpose)
        if change.choice is Choice.GIVEN:
            assert name in ticked - shown - granted
        else:
            assert name in (shown - ticked) & granted
