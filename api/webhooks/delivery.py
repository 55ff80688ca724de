"""Delivering what waits in the outbox: at least once, in order for each person, tried again later and later, then left dead.

A worker leases a subscription, sends what is due a few at a time, and gives it back. Should it die, the lease ends and
the next worker sends again what was not recorded as delivered: the receiver tells repetitions by `webhook-id`.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from api.database import DELIVER
from api.service import Service
from api.webhooks import outbox, signing, subscriptions
from api.webhooks.outbox import DEAD, DELIVERED, WAITING, Attempt, Waiting
from api.webhooks.sending import Sender, accepted
from api.webhooks.subscriptions import Leased, Subscription

log = logging.getLogger(__name__)

SECOND = 1_000_000
LEASE = 60 * SECOND
"""How long a subscription stays with its worker unless it is renewed: well over one batch, whose attempts take ATTEMPT_S."""
BATCH = 16
"""How many messages of one subscription are under way at once."""
TURN_S = 20.0
"""Seconds after which a subscription that still has something to send lets the others go first."""
AT_ONCE = 16
"""How many subscriptions one worker serves at once."""
ATTEMPTS = 14
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 12 * 3600.0


def retry_in(attempts: int, dice: random.Random) -> float:
    """Return the seconds until the next attempt after this many: five, threefold each time, twelve hours at most, give or take a half.

    The 14 attempts take two to three days. The jitter keeps messages that failed together from coming back together.
    """
    return min(FIRST_RETRY_S * 3.0 ** (attempts - 1), LONGEST_RETRY_S) * dice.uniform(0.5, 1.5)


@dataclass
class Courier:
    """Delivers webhooks for a service, until told to stop."""

    service: Service
    sender: Sender
    dice: random.Random
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _stopping: bool = False

    @classmethod
    def create(cls, service: Service) -> "Courier":
        """Return a courier that goes where the settings allow."""
        return cls(service, Sender.create(service.settings.webhook_policy), random.Random())

    async def run(self, stop: asyncio.Event, poll_s: float = 1.0) -> None:
        """Deliver until told to stop; attempts under way are finished first, or given up when that is cancelled."""
        try:
            while not stop.is_set():
                started = 0
                try:
                    started = await self.start()
                except Exception as error:  # noqa: BLE001  a lost database must not end the courier
                    log.warning("could not look for webhooks to deliver: %s", type(error).__name__)
                if not started:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), poll_s)
            self._stopping = True
            await self.finish()
        finally:
            await self.give_up()

    async def start(self) -> int:
        """Begin to serve subscriptions that have something to send; return how many."""
        free = AT_ONCE - len(self._under_way)
        if not free:
            return 0
        async with self.service.database.write("", DELIVER) as connection:
            taken = await subscriptions.lease_due(connection, self.service.clock(), LEASE, free)
        for leased in taken:
            task = asyncio.create_task(self._serve(leased))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(taken)

    async def finish(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def give_up(self) -> None:
        """Stop what is under way, and give back what was leased."""
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def deliver(self) -> None:
        """Send everything that is due now, and wait until that is done."""
        while await self.start():
            await self.finish()

    async def _serve(self, leased: Leased) -> None:
        turn_ends = time.monotonic() + TURN_S
        try:
            while await self._batch(leased) and time.monotonic() < turn_ends and not self._stopping:
                pass
            await self._release(leased)
        except asyncio.CancelledError:
            await self._release(leased)
            raise
        except Exception as error:  # noqa: BLE001  whatever it was, the lease ends and the messages are still there
            log.warning("webhooks of a subscription could not be delivered: %s", type(error).__name__)

    async def _release(self, leased: Leased) -> None:
        async with self.service.database.write(leased.subscription.app_id) as connection:
            await subscriptions.release(connection, leased)

    async def _batch(self, leased: Leased) -> bool:
        """Send a few messages and write down what became of them; False when nothing is due, or the lease was lost."""
        database, own = self.service.database, leased.subscription
        async with database.write(own.app_id) as connection:
            if not await subscriptions.renew(connection, leased, self.service.clock() + LEASE):
                return False
            # As it is now, not as it was leased: the app may have told another place, or another secret.
            current = await subscriptions.find(connection, own.app_id, own.subscription_id)
            if current is None:
                return False
            messages = await outbox.due(connection, current, self.service.clock(), BATCH)
        if not messages:
            return False
        attempts = await asyncio.gather(*(self._attempt(current, each) for each in messages))
        async with database.write(own.app_id) as connection:
            await outbox.record(connection, own, attempts, self.service.clock())
        return True

    async def _attempt(self, own: Subscription, message: Waiting) -> Attempt:
        now = self.service.clock()
        secrets = [
            self.service.webhook_secrets.of(own.app_id, own.subscription_id, generation)
            for generation in own.generations(now)
        ]
        headers = signing.headers(message.message_id, now // SECOND, message.body, secrets)
        result = await self._send(own.url, headers, message.body)
        if accepted(result):
            return Attempt(message.sequence, DELIVERED, now, result)
        tried = message.attempts + 1
        status = DEAD if tried >= ATTEMPTS else WAITING
        return Attempt(
            message.sequence, status, self.service.clock() + int(retry_in(tried, self.dice) * SECOND), result
        )

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send one message; return what became of it, whatever that was: the others of its batch are recorded all the same."""
        try:
            return await self.sender.send(url, headers, body)
        except Exception as error:  # noqa: BLE001  what an answer can bring about is not ours to know
            log.warning("an attempt to deliver a webhook failed: %s", type(error).__name__)
            return "connection"
