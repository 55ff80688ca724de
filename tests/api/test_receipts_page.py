"""The page on receipts is true: its tables name the fields there are, and its example verifies a real receipt."""

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from api.receipts import FORMATS
from consent.notices import facts
from tests.api.calls import NOTICE_REQUEST
from tests.api.witness import ON_SQLITE
from tests.conftest import Caller

PAGE = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text(encoding="utf-8")


def told(heading: str) -> set[str]:
    """The fields in the first column of the table after a line."""
    table = PAGE.split(heading, 1)[1].split("\n|", 2)[2].split("\n\n", 1)[0]
    first_columns = [row.split("|")[1 if row.startswith("|") else 0] for row in table.splitlines()]
    return {field for column in first_columns for field in re.findall(r"`(\w+)`", column)}


@ON_SQLITE
async def test_every_field_of_a_receipt_is_explained(client: Caller) -> None:
    """No field is undocumented, and none is documented that is not there."""
    receipt = (await client.consent("u1", "views"))["receipt"]
    (part,) = receipt["purposes"]
    assert told("what the standard asks for") == set(receipt)
    assert told("Of each entry of `purposes`:") == set(part)
    assert told("Of `event`:") == set(part["event"])


def test_every_format_is_named() -> None:
    """Each media type stands in the table."""
    assert set(re.findall(r"^\| `(application/[\w.+-]+)`", PAGE, re.MULTILINE)) == set(FORMATS)


@ON_SQLITE
async def test_the_example_verifies_a_receipt_and_no_other(client: Caller) -> None:
    """Copied out of the page, it opens a real receipt with the published keys, and no receipt with a changed byte."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, Any] = {"__name__": "example"}
    exec(code, space)  # noqa: S102  the page's own example
    receipt = (await client.consent("u1", "views"))["receipt"]
    path = f"/v1/users/u1/receipts/{receipt['receipt_id']}"
    jws = (await client.get(path, headers={"Accept": "application/jose"})).text
    keys = (await client.get("/.well-known/jwks.json")).json()
    assert space["opened"](jws, keys) == receipt
    head, body, signature = jws.split(".")
    changed = body[:40] + ("A" if body[40] != "A" else "B") + body[41:]
    with pytest.raises(InvalidSignature):
        space["opened"](f"{head}.{changed}.{signature}", keys)
    with pytest.raises(KeyError):
        space["opened"](jws, {"keys": []})


def test_the_places_of_a_notice_are_named() -> None:
    """The example of a wording is one that can be published."""
    (example,) = re.findall(r'```json\n\{"kind": "editorial".*?"en": "(.*?)"\}\}', PAGE, re.DOTALL)
    assert facts.fill(example.replace("\\n", "\n"), "en", "texts.en").startswith("# Before you choose")
    assert set(re.findall(r"\{\w+\}", example)) == set(re.findall(r"\{\w+\}", NOTICE_REQUEST["texts"]["en"]))
