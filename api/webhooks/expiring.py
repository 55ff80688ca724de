"""Telling ahead of time which grants will end by themselves: each subscription once, some people at a time."""

from api.service import Service
from api.webhooks import messages, outbox, subscriptions
from api.webhooks.messages import Type
from api.webhooks.subscriptions import Subscription
from consent import expiring

DAY = 86_400_000_000


async def tell_expiring(service: Service, app_id: str, limit: int) -> bool:
    """Write the next notices for each subscription of an app that wants them; True when there may be more."""
    async with service.database.read(app_id) as connection:
        listening = await subscriptions.of_app(connection, app_id)
    more = [await _tell(service, each, limit) for each in listening if Type.CONSENT_EXPIRING in each.types]
    return any(more)


async def _tell(service: Service, subscription: Subscription, limit: int) -> bool:
    app_id, now = subscription.app_id, service.clock()
    async with service.database.write(app_id) as connection:
        after = await subscriptions.told_until(connection, subscription)
        if after is None:
            return False
        found, last = await expiring.soon(
            connection,
            app_id,
            after=after,
            until=now + service.settings.expiring_notice_days * DAY,
            limit=limit,
            now=now,
            notices=await service.board.of(connection, app_id),
        )
        # Another worker may have told the same meanwhile: then this one has nothing to add.
        if last is None or not await subscriptions.move_on(connection, subscription, after, last):
            return False
        told = [
            messages.consent_expiring(
                service.pseudonyms.reference(each.user_hash), each.subject_id, each.cells
            )
            for each in found
        ]
        await outbox.tell_to(connection, subscription, told, now)
    return True
