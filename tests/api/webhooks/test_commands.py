"""`assent webhooks`: an operator sees what died, and sends it again."""

import random
import ssl

from api.service import Service
from api.webhooks import outbox, subscriptions
from api.webhooks.addresses import Policy, networks
from api.webhooks.delivery import Courier
from api.webhooks.messages import Message, Type
from api.webhooks.outbox import DEAD, Attempt
from api.webhooks.sending import Sender
from tests.api.test_cli import Shell, registered, said, shell
from tests.api.webhooks.receiver import receiving
from tests.conftest import APP

__all__ = ["registered", "shell"]


async def one_died(service: Service) -> str:
    """Leave a message dead; its name."""
    async with service.database.write(APP) as connection:
        now = service.clock()
        made = await subscriptions.add(connection, APP, "https://app.example/", [Type.CONSENT_CHANGED], now)
        (name,) = await outbox.tell_to(connection, made, [Message(Type.PING, {})], now)
        await outbox.record(connection, made, [Attempt(1, DEAD, now, "status_503")], now)
    return name


def test_what_died_is_seen_and_sent_again(registered: Shell, certificates: ssl.SSLContext) -> None:
    """It is listed with its last result; after `retry` it waits, is sent, and listed as delivered."""
    assert said(registered("webhooks", "list", "--app", APP)) == "There are none."
    name = registered.in_service(one_died)
    listed = said(registered("webhooks", "list", "--app", APP))
    assert name in listed
    assert "status_503" in listed
    assert said(registered("webhooks", "retry", "--app", APP, name)) == "Messages that will be sent again: 1."
    again = registered("webhooks", "retry", "--app", APP, name)
    assert (again.exit_code, said(again)) == (1, f"there is no dead message {name}")

    async def deliver(service: Service) -> int:
        async with receiving() as receiver:
            async with service.database.write(APP) as connection:
                (found,) = await subscriptions.of_app(connection, APP)
                await subscriptions.change(connection, APP, found.subscription_id, receiver.url, found.types)
            allowed = Policy(networks("127.0.0.0/8"), plain_http=True)
            await Courier(service, Sender(allowed, certificates), random.Random(1)).deliver()
            return len(receiver.got)

    assert registered.in_service(deliver) == 1
    assert name in said(registered("webhooks", "list", "--app", APP, "--status", "delivered"))


def test_mistakes_are_told(registered: Shell) -> None:
    """An unknown status, and an app that is none, are named."""
    wrong = registered("webhooks", "list", "--app", APP, "--status", "lost")
    assert (wrong.exit_code, said(wrong)) == (2, "lost is not a status: waiting, delivered or dead")
    nowhere = registered("webhooks", "retry", "--app", "nowhere")
    assert nowhere.exit_code == 1
    assert "there is no app nowhere" in said(nowhere)
