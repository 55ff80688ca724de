"""What webhooks tell: the types of messages, and what each says. A person is named by their reference alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from consent.erasure import Erasure
from consent.ledger import Cell
from consent.receipts.records import rfc3339


class Type(StrEnum):
    """What an app can hear of."""

    CONSENT_CHANGED = "consent.changed"
    CONSENT_EXPIRING = "consent.expiring"
    CONSENT_EXPIRED = "consent.expired"
    ERASURE_ROWS_ERASED = "erasure.rows_erased"
    ERASURE_COMPLETED = "erasure.completed"
    PING = "webhook.ping"


SUBSCRIBABLE = tuple(each for each in Type if each is not Type.PING)
"""The types to choose from; a ping goes to whoever asks for it."""


@dataclass(frozen=True)
class Message:
    """One thing to tell.

    `stream` is what it stays in order with: messages of one stream go out one after the other, in their order. None
    is in order with nothing. `subject_id` ties it to a person, so that it goes when they go; None where it has to
    outlive them.
    """

    type: Type
    data: Mapping[str, Any]
    stream: str | None = None
    subject_id: str | None = None
    message_id: str | None = None
    """Its name when that is decided already; random when left out."""


def consent_changed(
    user_ref: str, subject_id: str, cells: Iterable[Cell], *, receipt_id: str, actor: str
) -> Message:
    """Tell what a person, or their guardian, chose."""
    data = {
        "user_ref": user_ref,
        "receipt_id": receipt_id,
        "actor": {"type": actor},
        "consents": [_cell(cell) for cell in cells],
    }
    return Message(Type.CONSENT_CHANGED, data, user_ref, subject_id)


def consent_expiring(user_ref: str, subject_id: str, cells: Iterable[Cell]) -> Message:
    """Tell which of a person's grants will soon end by themselves."""
    data = {"user_ref": user_ref, "consents": [_cell(cell) for cell in cells]}
    return Message(Type.CONSENT_EXPIRING, data, user_ref, subject_id)


def consent_expired(user_ref: str, subject_id: str, cells: Iterable[Cell]) -> Message:
    """Tell which of a person's grants have ended by themselves."""
    data = {"user_ref": user_ref, "consents": [_cell(cell) for cell in cells]}
    return Message(Type.CONSENT_EXPIRED, data, user_ref, subject_id)


def rows_erased(user_ref: str, done: Erasure) -> Message:
    """Tell that a person is gone. It outlives them, names their reference and nothing else of them.

    It is called by the id of the erasure, so that the notice of its completion finds it.
    """
    data = {
        "user_ref": user_ref,
        "erasure_id": done.erasure_id,
        "rows_erased_at": rfc3339(done.rows_erased_at),
        "deadline": rfc3339(done.deadline),
    }
    return Message(Type.ERASURE_ROWS_ERASED, data, user_ref, message_id=done.erasure_id)


def erasure_completed(done: Erasure, stream: str) -> Message:
    """Tell that nothing learned from the person is left either. It names the erasure and nobody."""
    data = {
        "erasure_id": done.erasure_id,
        "completed_at": None if done.completed_at is None else rfc3339(done.completed_at),
        "receipt": done.receipt,
    }
    return Message(Type.ERASURE_COMPLETED, data, stream)


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "signal": cell.signal,
        "purpose": cell.purpose.value,
        "state": cell.state.value,
        "expires_at": None if cell.expires_at is None else rfc3339(cell.expires_at),
        "notice_version": cell.notice_version,
    }
