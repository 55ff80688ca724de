"""Permits: a yes is for what comes, and for what was before anybody asked; never for what happened during a no."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.service import Service
from consent.errors import NoConsent
from consent.ledger import Choice
from consent.permits import CLOCK_SKEW, Permit, Permits, permits
from consent.purposes import Purpose
from tests.api.witness import ON_SQLITE
from tests.conftest import APP
from tests.consent.choosing import DAY, NOTICES, START, Person, Undo


def test_a_permit_is_given_or_an_error_raised() -> None:
    """There is no boolean to forget: what is not granted raises, with the signal, and without the person."""
    allowed = Permits(APP, "ef" * 16, {"views": [()]})
    assert allowed.require("views", START) == Permit(APP, "ef" * 16, "views")
    with pytest.raises(NoConsent) as denied:
        allowed.require("saves", START)
    assert "saves" in str(denied.value)
    assert "ef" not in str(denied.value).split()


def test_one_grant_without_a_no_is_enough() -> None:
    """What happened during a no to one purpose may be kept for another that was granted then."""
    both = Permits(APP, "ef" * 16, {"views": [[(10, 20)], [(15, 30)]]})
    found = [at for at in range(5, 35) if permitted(both, "views", at)]
    assert found == [*range(5, 15), *range(20, 35)]


def permitted(allowed: Permits | None, signal: str, at: int) -> bool:
    """Whether an event may be kept."""
    try:
        return allowed is not None and bool(allowed.require(signal, at))
    except NoConsent:
        return False


LASTS = 365 * DAY
SIGNAL = "views"
STEPS = st.lists(
    st.tuples(st.sampled_from(Purpose), st.sampled_from(Choice), st.integers(1, 500)), min_size=1, max_size=8
)


@ON_SQLITE
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_what_happened_during_a_no_is_never_taken(
    service: Service, steps: Sequence[tuple[Purpose, Choice, int]]
) -> None:
    """For random choices, day by day: taken is what some purpose grants now and did not deny then, and nothing else."""
    with contextlib.suppress(Undo):
        async with service.database.write(APP) as connection:
            someone = Person(connection, service, bytes(32))
            made: list[tuple[int, Purpose, Choice]] = []
            now, subject_id = START, ""
            for purpose, choice, days in steps:
                now += days * DAY
                subject_id = await someone.choose((SIGNAL, purpose), choice=choice, now=now)
                made.append((now, purpose, choice))
            found = await permits(connection, APP, [subject_id], now, NOTICES, earliest=START)
            for at in range(START - DAY // 2, now, DAY):
                expected = any(
                    stood(made, purpose, now) is True and stood(made, purpose, at) is not False
                    for purpose in Purpose
                )
                assert permitted(found.get(subject_id), SIGNAL, at) is expected, (at - START) / DAY
            raise Undo


def stood(made: Sequence[tuple[int, Purpose, Choice]], purpose: Purpose, at: int) -> bool | None:
    """How a cell stood at a moment: True for a yes in force, False for a no or a yes that ended, None before any answer."""
    answers = [
        (then, choice)
        for then, of, choice in made
        if of is purpose and then <= at and choice is not Choice.DEFERRED
    ]
    if not answers:
        return None
    then, choice = answers[-1]
    return choice is Choice.GIVEN and at < then + LASTS


async def test_a_slow_clock_is_forgiven(service: Service) -> None:
    """What a device whose clock is behind says to be from just before a yes counts as after it."""
    with contextlib.suppress(Undo):
        async with service.database.write(APP) as connection:
            someone = Person(connection, service, bytes(32))
            await someone.choose((SIGNAL, Purpose.PERSONALISE), choice=Choice.REFUSED, now=START)
            yes = START + DAY
            subject_id = await someone.choose((SIGNAL, Purpose.PERSONALISE), now=yes)
            found = await permits(connection, APP, [subject_id], yes, NOTICES, earliest=START)
            allowed = found[subject_id]
            assert permitted(allowed, SIGNAL, yes - CLOCK_SKEW)
            assert not permitted(allowed, SIGNAL, yes - CLOCK_SKEW - 1)
            assert not permitted(allowed, SIGNAL, START)
            assert permitted(allowed, SIGNAL, START - 1)
            raise Undo
