"""Decisions, prompts and age bands as the API answers them; the models describe it in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field

from consent.decisions import Denied, Reason, Use
from consent.minors import AgeBand
from consent.prompts import Askable, Because
from consent.purposes import Purpose
from consent.receipts.records import rfc3339


class PermitOut(BaseModel):
    """The record that permits a use."""

    receipt_id: str = Field(description="The receipt", examples=["9f86d081884c7d659a2feaa0c55ad015"])
    seq: int = Field(description="Its place in the app's ledger", examples=[17])
    since: str = Field(description="On since when", examples=["2026-11-22T08:30:00.000Z"])
    expires_at: str = Field(description="When it ends by itself", examples=["2027-11-22T08:30:00.000Z"])
    notice_version: str = Field(description="The notice it was given on", examples=["2026-11-22"])


class DeniedBy(BaseModel):
    """The record that a denial rests on."""

    receipt_id: str = Field(description="The receipt", examples=["9f86d081884c7d659a2feaa0c55ad015"])
    seq: int = Field(description="Its place in the app's ledger", examples=[17])
    since: str = Field(description="Since when", examples=["2026-11-22T08:30:00.000Z"])


class DecisionOut(BaseModel):
    """Whether one signal may be used for one purpose, now. Ask again for every use."""

    signal: str = Field(description="The signal", examples=["views"])
    purpose: Purpose = Field(description="The purpose", examples=["personalise"])
    permitted: bool = Field(description="Whether it may", examples=[True])
    permit: PermitOut | None = Field(description="The record that permits it; null when denied")
    reason: Reason | None = Field(description="Why it is denied; null when permitted", examples=["expired"])
    denied_by: DeniedBy | None = Field(
        description="The record that the denial rests on; null when permitted, and when there is none"
    )


class AskableOut(BaseModel):
    """Whether a person may be asked about one cell."""

    signal: str = Field(description="The signal", examples=["views"])
    purpose: Purpose = Field(description="The purpose", examples=["personalise"])
    may_ask: bool = Field(description="Whether the app may ask now", examples=[True])
    because: Because = Field(description="What decides it", examples=["never_asked"])
    not_before: str | None = Field(
        description="From when on it may; null when it may now, or at no time that is known",
        examples=["2027-05-21T08:30:00.000Z"],
    )


class PromptsOut(BaseModel):
    """Whether a person may be asked for consent now, and about what."""

    may_ask: bool = Field(description="Whether there is anything to ask", examples=[True])
    ask: str = Field(description="Whom: the person, or a guardian for them", examples=["person"])
    notice_version: str = Field(description="The notice to show", examples=["2026-11-22"])
    as_of: int = Field(description="How far into the ledger this goes", examples=[18])
    cells: list[AskableOut] = Field(description="Every cell")


class PromptOut(BaseModel):
    """A prompt on record."""

    prompt_id: str = Field(
        description="Send it with the choices made on it", examples=["9f86d081884c7d659a2feaa0c55ad015"]
    )
    shown_at: str = Field(description="When it was recorded", examples=["2026-11-22T08:30:00.000Z"])
    receipt: dict[str, Any] = Field(
        description="The record of having asked (fields of ISO/IEC TS 27560)",
        examples=[{"receipt_id": "9f86d081884c7d659a2feaa0c55ad015"}],
    )


class AgeBandOut(BaseModel):
    """What the app told of a person's age, and what follows."""

    age_band: AgeBand | None = Field(
        description="The band; null when the app told none", examples=["13_to_15"]
    )
    guardian_needed: bool = Field(description="Whether only a guardian may turn things on", examples=[True])
    profiling_allowed: bool = Field(description="Whether `personalise` may be turned on", examples=[False])
    receipt: dict[str, Any] | None = Field(
        description="The receipt of the grants that ended by this; null when none did",
        examples=[{"receipt_id": "9f86d081884c7d659a2feaa0c55ad015"}],
    )


MODELS = (DecisionOut, PromptsOut, PromptOut, AgeBandOut)


def permitted(use: Use) -> dict[str, Any]:
    """Write a permit."""
    return {
        "signal": use.signal,
        "purpose": use.purpose.value,
        "permitted": True,
        "permit": {
            "receipt_id": use.receipt_id,
            "seq": use.seq,
            "since": rfc3339(use.since),
            "expires_at": rfc3339(use.expires_at),
            "notice_version": use.notice_version,
        },
        "reason": None,
        "denied_by": None,
    }


def denied(denial: Denied) -> dict[str, Any]:
    """Write a denial."""
    cell = denial.cell
    record = None
    if cell.receipt_id is not None and cell.seq is not None and cell.since is not None:
        record = {"receipt_id": cell.receipt_id, "seq": cell.seq, "since": rfc3339(cell.since)}
    return {
        "signal": denial.signal,
        "purpose": denial.purpose,
        "permitted": False,
        "permit": None,
        "reason": denial.code.value,
        "denied_by": record,
    }


def askable(found: Askable) -> dict[str, Any]:
    """Write whether a cell may be asked about."""
    return {
        "signal": found.signal,
        "purpose": found.purpose.value,
        "may_ask": found.may_ask,
        "because": found.because.value,
        "not_before": None if found.not_before is None else rfc3339(found.not_before),
    }
