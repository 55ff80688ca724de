"""What a request can have known of its person: what was over when it arrived, and not what was still under way."""

import asyncio
import contextlib
import time

from api.arrivals import Arrival, Changes, Known

APP, SHE, HE = "harbour", b"she", b"he"
AT = 1_790_000_000_000_000


def arrival() -> Arrival:
    """A request that arrives now."""
    return Arrival(time.monotonic_ns(), AT)


async def change(changes: Changes, place: int | None, whose: bytes = SHE) -> None:
    """A change that is over when this returns."""
    async with changes.under_way(APP, whose) as under_way:
        if place is not None:
            under_way.takes(place)


async def test_what_was_over_before_is_known() -> None:
    """A change that ended before the request arrived hides nothing from it, whatever place it took."""
    changes = Changes(60)
    await change(changes, 3)
    known = changes.known(APP, SHE, arrival(), size=9, as_of=None)
    assert known == Known(lines=9, arrived=AT)


async def test_what_was_under_way_is_not() -> None:
    """The first place of a change that ended after the arrival, or has not ended, is where knowledge ends; another person's is not."""
    changes = Changes(60)
    arrived = arrival()
    await change(changes, 7)
    async with changes.under_way(APP, SHE) as other:
        other.takes(5)
        assert changes.known(APP, SHE, arrived, size=9, as_of=None).lines == 5
        assert changes.known(APP, SHE, arrival(), size=9, as_of=None).lines == 5
        assert changes.known(APP, HE, arrived, size=9, as_of=None).lines == 9
        assert changes.known("meadow", SHE, arrived, size=9, as_of=None).lines == 9
    assert changes.known(APP, SHE, arrived, size=9, as_of=None).lines == 5


async def test_a_change_that_took_no_place_hides_nothing() -> None:
    """What was refused, or failed before it wrote, came to nothing."""
    changes = Changes(60)
    arrived = arrival()
    await change(changes, None)
    assert changes.known(APP, SHE, arrived, size=9, as_of=None).lines == 9


async def test_a_change_that_failed_is_over_when_it_failed() -> None:
    """Whether its transaction got through nobody knows: until then it counts as under way."""
    changes = Changes(60)
    arrived = arrival()
    with contextlib.suppress(asyncio.CancelledError):
        async with changes.under_way(APP, SHE) as under_way:
            under_way.takes(4)
            raise asyncio.CancelledError
    assert changes.known(APP, SHE, arrived, size=9, as_of=None).lines == 4
    assert changes.known(APP, SHE, arrival(), size=9, as_of=None).lines == 9


async def test_a_place_that_is_there_proves_what_was_seen() -> None:
    """With `as_of` of the ledger no clock is asked; one from the future counts for nothing; none reaches past what was under way."""
    changes = Changes(60)
    assert changes.known(APP, SHE, arrival(), size=9, as_of=6) == Known(6, None)
    assert changes.known(APP, SHE, arrival(), size=9, as_of=10**9) == Known(9, AT)
    arrived = arrival()
    await change(changes, 4)
    assert changes.known(APP, SHE, arrived, size=9, as_of=6) == Known(4, None)


async def test_what_is_long_over_is_forgotten() -> None:
    """Memory holds the changes of the last so many seconds, and of nobody else."""
    changes = Changes(0.05)
    for number in range(100):
        await change(changes, number, number.to_bytes(2, "big"))
    await asyncio.sleep(0.1)
    await change(changes, 100)
    assert list(changes._of) == [(APP, SHE)]
