"""The ledger's rules: what a choice leads to, and where a cell stands at a moment."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import UnknownPurpose, UnknownSignal
from consent.ledger import (
    GRANTING,
    Actor,
    Cell,
    Change,
    Choice,
    ConsentEvent,
    State,
    cell_after,
    expiry,
    fold,
    known_purpose,
    known_signal,
    state_after,
)
from consent.notices import EVERY_CELL, Notices, Revision
from consent.purposes import Purpose
from consent.signals import SIGNALS

DAY = 86_400_000_000
TEXTS = {"en": "What may be used?"}
NOTICES = Notices([Revision("1", TEXTS, EVERY_CELL)])
REVISED = Notices(
    [Revision("1", TEXTS, EVERY_CELL), Revision("2", TEXTS, frozenset({("views", "personalise")}))]
)


def cell(state: State, **more: object) -> Cell:
    """A cell of views to personalise, given at the beginning of time on the first notice."""
    values: dict[str, object] = {
        "since": 0,
        "expires_at": 365 * DAY,
        "notice_version": "1",
        "receipt_id": "r",
    }
    return Cell("views", Purpose.PERSONALISE, state, **{**values, **more})  # type: ignore[arg-type]  # by name, as given


@pytest.mark.parametrize("state", State)
def test_only_given_and_renewed_allow(state: State) -> None:
    """Every other state denies; so does one that nobody knows."""
    assert cell(state).in_force(DAY, NOTICES) == (state in {State.GIVEN, State.RENEWED})


def test_a_grant_ends_on_time() -> None:
    """In force until the very microsecond of its end; without an end it was never one."""
    grant = cell(State.GIVEN)
    assert grant.in_force(365 * DAY - 1, NOTICES)
    assert grant.at(365 * DAY, NOTICES).state is State.EXPIRED
    assert cell(State.GIVEN, expires_at=None).at(0, NOTICES).state is State.EXPIRED


def test_a_material_revision_invalidates() -> None:
    """A grant on an outdated notice is invalid, as is one on a notice that was never published, or none."""
    assert cell(State.GIVEN).at(DAY, REVISED).state is State.INVALIDATED
    assert cell(State.GIVEN, notice_version="2").in_force(DAY, REVISED)
    for unknown in ("0", "", None):
        assert cell(State.GIVEN, notice_version=unknown).at(DAY, NOTICES).state is State.INVALIDATED


@pytest.mark.parametrize(
    ("before", "choice", "after"),
    [
        (None, Choice.GIVEN, State.GIVEN),
        (None, Choice.REFUSED, State.REFUSED),
        (None, Choice.WITHDRAWN, State.WITHDRAWN),
        (cell(State.GIVEN), Choice.GIVEN, State.RENEWED),
        (cell(State.RENEWED), Choice.GIVEN, State.RENEWED),
        (cell(State.WITHDRAWN), Choice.GIVEN, State.GIVEN),
        (cell(State.REFUSED), Choice.GIVEN, State.GIVEN),
        (cell(State.GIVEN, expires_at=DAY), Choice.GIVEN, State.GIVEN),
        (cell(State.GIVEN, notice_version="0"), Choice.GIVEN, State.GIVEN),
        (cell(State.GIVEN), Choice.REFUSED, State.REFUSED),
    ],
)
def test_what_a_choice_leads_to(before: Cell | None, choice: Choice, after: State) -> None:
    """Giving again what is in force renews it; what had ended is given anew."""
    change = Change("views", Purpose.PERSONALISE, choice)
    assert state_after(change, before, 2 * DAY, NOTICES) is after


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_grant_has_an_end(signal: str) -> None:
    """A grant lasts as long as its signal says; nothing else has an end."""
    for state in State:
        end = expiry(signal, state, 5)
        assert end == (5 + SIGNALS[signal].consent_lasts.days * DAY if state in GRANTING else None)


def test_what_is_not_in_the_catalogue_is_unknown() -> None:
    """Unknown signals and purposes are refused by their field."""
    with pytest.raises(UnknownSignal) as signal:
        known_signal("location", "changes.0.signal")
    assert signal.value.field == "changes.0.signal"
    with pytest.raises(UnknownPurpose):
        known_purpose("sell")
    assert known_signal("views").id == "views"
    assert known_purpose("improve") is Purpose.IMPROVE


def a_line(seq: int, signal: str, purpose: Purpose, state: State) -> ConsentEvent:
    """One line of the ledger, a day after the one before."""
    return ConsentEvent(
        seq, signal, purpose, state, seq * DAY, expiry(signal, state, seq * DAY), "1", "", "en", "test", Actor(), str(seq)
    )  # fmt: skip


LINES = st.lists(
    st.tuples(
        st.sampled_from(["views", "saves", "check_ins"]),
        st.sampled_from(Purpose),
        st.sampled_from([State.GIVEN, State.RENEWED, State.REFUSED, State.WITHDRAWN]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(lines=LINES)
def test_a_cell_is_its_last_line(lines: list[tuple[str, Purpose, State]]) -> None:
    """Whatever the history, each cell has the state, end and receipt of the last line about it, and no cell is made up."""
    events = [a_line(seq, *line) for seq, line in enumerate(lines)]
    cells = fold(events)
    assert set(cells) == {(event.signal, event.purpose) for event in events}
    for (signal, purpose), found in cells.items():
        last = [event for event in events if (event.signal, event.purpose) == (signal, purpose)][-1]
        assert (found.state, found.expires_at, found.receipt_id) == (
            last.state,
            last.expires_at,
            last.receipt_id,
        )
        assert found.since is not None
        assert found.since <= last.at


@settings(max_examples=100, deadline=None)
@given(lines=LINES, days=st.integers(0, 900))
def test_withdrawing_denies_whatever_came_before(lines: list[tuple[str, Purpose, State]], days: int) -> None:
    """After a withdrawal or refusal no history and no moment makes the cell allow its use."""
    events = [a_line(seq, *line) for seq, line in enumerate(lines)]
    for state in (State.WITHDRAWN, State.REFUSED):
        cells = fold([*events, a_line(len(events), "views", Purpose.IMPROVE, state)])
        assert not cells["views", Purpose.IMPROVE].in_force(days * DAY, NOTICES)


def test_renewing_keeps_the_day_it_began() -> None:
    """`since` tells since when it is on; giving anew after a withdrawal begins anew."""
    given_ = cell_after(None, a_line(1, "views", Purpose.PERSONALISE, State.GIVEN))
    renewed = cell_after(given_, a_line(2, "views", Purpose.PERSONALISE, State.RENEWED))
    assert (renewed.since, renewed.expires_at) == (DAY, 2 * DAY + 365 * DAY)
    withdrawn = cell_after(renewed, a_line(3, "views", Purpose.PERSONALISE, State.WITHDRAWN))
    again = cell_after(withdrawn, a_line(4, "views", Purpose.PERSONALISE, State.GIVEN))
    assert (withdrawn.since, again.since) == (3 * DAY, 4 * DAY)
