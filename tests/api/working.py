"""A worker that does all there is to do, and a clock that lets it."""

from collections.abc import Awaitable, Callable

from api.service import Service
from api.worker import work_once
from tests.conftest import Clock

PATIENCE_S = 70
"""Longer than a lease on memory, and than erasures are gathered for a vacuum."""


async def work_all(service: Service, clock: Clock) -> int:
    """Do every job there is, letting time pass for those that wait a little; return how many were done."""
    done = idle = 0
    while idle < 5:
        if await work_once(service):
            done, idle = done + 1, 0
        else:
            idle += 1
            clock.forward(days=PATIENCE_S / 86_400)
    return done


async def work_until(service: Service, clock: Clock, reached: Callable[[], Awaitable[bool]]) -> None:
    """Do the jobs there are until something is reached, letting time pass for steps that try again; never for ever."""
    for _ in range(30):
        while await work_once(service):
            pass
        if await reached():
            return
        clock.forward(days=PATIENCE_S / 86_400)
    raise AssertionError("what was waited for never came")
