"""docs/webhooks.md: its example verifies what is really sent, and its table has every type."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.webhooks.delivery import Courier
from api.webhooks.messages import Type
from tests.api.webhooks.receiver import Receiver
from tests.api.webhooks.test_delivery import subscribed
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller, Clock

TEXT = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text("utf-8")
Verified = Callable[..., bool]


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def verified() -> Verified:
    """The function of the documentation, as it stands there."""
    names: dict[str, Any] = {}
    (source,) = blocks("python")
    exec(source, names)  # noqa: S102  that is what a reader would do with it
    function: Verified = names["verified"]
    return function


@ON_SQLITE
async def test_the_example_verifies_what_is_sent(
    client: Caller, courier: Courier, receiver: Receiver, verified: Verified
) -> None:
    """What was sent is genuine; with one bit of it changed anywhere, under another secret, or too late, it is not."""
    made = await subscribed(client, receiver)
    await client.consent("u1", "views")
    await courier.deliver()
    (got,) = receiver.got
    assert verified(made["secret"], got.headers, got.body)
    for place in range(len(got.body)):
        changed = bytearray(got.body)
        changed[place] ^= 1
        assert not verified(made["secret"], got.headers, bytes(changed))
    for name in ("webhook-id", "webhook-timestamp"):
        last = got.headers[name][-1]
        other = {**got.headers, name: got.headers[name][:-1] + ("1" if last != "1" else "2")}
        assert not verified(made["secret"], other, got.body)
    assert not verified("whsec_" + base64.b64encode(bytes(32)).decode(), got.headers, got.body)


@ON_SQLITE
async def test_an_old_message_is_not_fresh(
    client: Caller, courier: Courier, receiver: Receiver, clock: Clock, verified: Verified
) -> None:
    """One signed six minutes from now is refused; every attempt is signed anew, so that none is late by itself."""
    made = await subscribed(client, receiver)
    await client.consent("u1", "views")
    clock.forward(days=6 / 1440)
    await courier.deliver()
    (got,) = receiver.got
    assert not verified(made["secret"], got.headers, got.body)
    assert verified(made["secret"], got.headers, got.body, tolerance_s=400)


@ON_SQLITE
async def test_the_sample_has_the_members_of_what_is_sent(
    client: Caller, courier: Courier, receiver: Receiver
) -> None:
    """The JSON of the documentation has exactly the members, at every level, that a message has."""
    (sample,) = blocks("json")
    await subscribed(client, receiver)
    await client.consent("u1", "views")
    await courier.deliver()

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(each) for name, each in value.items()}
        return [shape(each) for each in value] if isinstance(value, list) else type(value)

    assert shape(json.loads(sample)) == shape(receiver.documents[0])


def test_every_type_is_in_the_table() -> None:
    """Each type has its row, and there is no other."""
    assert re.findall(r"^\| `([a-z_.]+)` \|", TEXT, re.MULTILINE) == [each.value for each in Type]
