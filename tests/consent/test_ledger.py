"""The ledger's rules: what a choice leads to, and where a cell stands at a moment."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.errors import UnknownPurpose, UnknownSignal
from consent.ledger import (
    DENIALS,
    ENDINGS,
    GRANTING,
    MEANING,
    TRANSITIONS,
    UNDECIDED,
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
from consent.notices.published import EVERY_CELL, Notices, Revision
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


DECIDING = (*GRANTING, *DENIALS, *ENDINGS)
LINES = st.lists(
    st.tuples(
        st.sampled_from(["views", "saves", "check_ins"]), st.sampled_from(Purpose), st.sampled_from(DECIDING)
    ),
    max_size=40,
)


def possible(lines: list[tuple[str, Purpose, State]]) -> list[ConsentEvent]:
    """The lines that can follow each other, in order."""
    events: list[ConsentEvent] = []
    for signal, purpose, state in lines:
        stands = fold(events).get((signal, purpose), Cell(signal, purpose, State.UNKNOWN)).state
        if state in TRANSITIONS[stands]:
            events.append(a_line(len(events), signal, purpose, state))
    return events


@settings(max_examples=150)
@given(lines=LINES)
def test_a_cell_is_its_last_line(lines: list[tuple[str, Purpose, State]]) -> None:
    """Whatever the history, each cell has the state, end and receipt of the last line about it, and no cell is made up."""
    events = possible(lines)
    cells = fold(events)
    assert set(cells) == {(event.signal, event.purpose) for event in events}
    for (signal, purpose), found in cells.items():
        last = [event for event in events if (event.signal, event.purpose) == (signal, purpose)][-1]
        assert (found.state, found.expires_at, found.receipt_id) == (
            last.state,
            last.expires_at,
            last.receipt_id,
        )
        assert found.since is None or found.since <= last.at


@settings(max_examples=100)
@given(lines=LINES, days=st.integers(0, 900))
def test_withdrawing_denies_whatever_came_before(lines: list[tuple[str, Purpose, State]], days: int) -> None:
    """After a withdrawal or refusal no history and no moment makes the cell allow its use."""
    events = possible(lines)
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


def test_every_state_of_the_standard_is_there_and_explained() -> None:
    """The ten states of ISO/IEC TS 27560, each with a meaning and a row of its own in the table of transitions."""
    assert {state.value for state in State} == {
        "requested", "refused", "deferred", "given", "renewed", "withdrawn", "expired", "terminated", "invalidated",
        "unknown",
    }  # fmt: skip
    assert set(MEANING) == set(TRANSITIONS) == set(State)
    assert set(GRANTING) | set(DENIALS) | set(ENDINGS) | set(UNDECIDED) == set(State)


@pytest.mark.parametrize("state", State)
def test_only_a_yes_leads_to_a_grant(state: State) -> None:
    """From no state does anything but giving, or renewing what is given, lead to a grant; being asked or closing the question never does."""
    for line, to in TRANSITIONS[state].items():
        if to in GRANTING:
            assert line in GRANTING or (state in GRANTING and line in {State.REQUESTED, State.DEFERRED})
    assert (State.RENEWED in TRANSITIONS[state]) == (state in GRANTING)


@pytest.mark.parametrize("state", State)
def test_a_no_can_always_be_said(state: State) -> None:
    """Refusing and withdrawing are possible wherever a cell stands, and so is giving: withdrawing takes no more steps."""
    for answer in (State.REFUSED, State.WITHDRAWN, State.GIVEN):
        assert TRANSITIONS[state][answer] is answer


@pytest.mark.parametrize("line", [State.REQUESTED, State.DEFERRED])
def test_being_asked_moves_nobody_who_decided(line: State) -> None:
    """Asked again, or closing the question, a yes stays a yes and a no a no, with their record; the moment is remembered."""
    for decided in (State.GIVEN, State.REFUSED, State.WITHDRAWN):
        before = cell_after(None, a_line(1, "views", Purpose.PERSONALISE, decided))
        after = cell_after(before, a_line(2, "views", Purpose.PERSONALISE, line))
        assert (after.state, after.seq, after.receipt_id, after.since) == (decided, 1, "1", DAY)
        assert (after.asked_at, after.deferred_at) == (
            (2 * DAY, None) if line is State.REQUESTED else (None, 2 * DAY)
        )
    undecided = cell_after(None, a_line(1, "views", Purpose.PERSONALISE, line))
    assert (undecided.state, undecided.in_force(DAY, NOTICES)) == (line, False)


@pytest.mark.parametrize("line", [State.RENEWED, *ENDINGS])
def test_what_cannot_follow_is_not_recorded(line: State) -> None:
    """Nothing ends, and nothing is renewed, that was not given."""
    refused = cell_after(None, a_line(1, "views", Purpose.PERSONALISE, State.REFUSED))
    for before in (None, refused):
        with pytest.raises(ValueError, match="cannot follow"):
            cell_after(before, a_line(2, "views", Purpose.PERSONALISE, line))


def test_recording_an_end_changes_nothing_that_anyone_sees() -> None:
    """A grant that ran out is expired from its end on, before and after that is recorded, since the same moment."""
    given_ = cell_after(None, a_line(1, "views", Purpose.PERSONALISE, State.GIVEN))
    end = given_.expires_at
    assert end is not None
    ran_out = replace(a_line(900, "views", Purpose.PERSONALISE, State.EXPIRED), expires_at=end)
    before, after = given_.at(900 * DAY, NOTICES), cell_after(given_, ran_out)
    assert (before.state, before.since, before.expires_at) == (after.state, after.since, after.expires_at)
    assert after.since == end


def test_what_is_no_state_is_unknown() -> None:
    """A word that nobody understands denies."""
    assert State("GIVEN") is State.UNKNOWN
