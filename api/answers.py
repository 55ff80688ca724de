"""The JSON that goes out (version 1 of the contract). Routes write it directly; these models describe it in the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api import deciding, notices
from api.log_answers import LOG, PromisedOut
from api.webhooks.answers import MODELS as WEBHOOKS
from consent.ledger import State
from recommender.catalog import Resource


class EventResult(BaseModel):
    """What became of one event."""

    event_id: str = Field(description="The app's id", examples=["e-1"])
    status: Literal["accepted", "duplicate", "refused", "invalid"] = Field(
        description="What became of it", examples=["refused"]
    )
    code: str | None = Field(default=None, description="Why, when it was not stored", examples=["no_consent"])


class EventResults(BaseModel):
    """What became of a batch."""

    results: list[EventResult] = Field(description="In the order of the batch")
    accepted: int = Field(description="How many were stored", examples=[1])
    duplicate: int = Field(description="How many were there already", examples=[0])
    refused: int = Field(description="How many had no consent: nothing of them is kept", examples=[0])
    invalid: int = Field(description="How many were wrong", examples=[0])


class CellOut(BaseModel):
    """One signal for one purpose."""

    signal: str = Field(description="The signal", examples=["views"])
    purpose: str = Field(description="The purpose", examples=["personalise"])
    state: State = Field(
        description="`given` and `renewed` allow the use; `unknown` was never chosen", examples=["given"]
    )
    since: str | None = Field(description="On or off since when", examples=["2026-11-22T08:30:00.000Z"])
    expires_at: str | None = Field(
        description="When a grant ends by itself", examples=["2027-11-22T08:30:00.000Z"]
    )
    notice_version: str | None = Field(description="The notice it was chosen on", examples=["2026-11-22"])
    receipt_id: str | None = Field(
        description="The receipt of the choice", examples=["9f86d081884c7d659a2feaa0c55ad015"]
    )
    seq: int | None = Field(description="Its place in the app's ledger", examples=[17])
    actor: dict[str, str] | None = Field(
        description="Who brought it about: self, guardian, app or service", examples=[{"type": "self"}]
    )


class ConsentsOut(BaseModel):
    """Every cell of a person."""

    user_ref: str = Field(
        description="The name by which webhooks speak of this person; always the same for one user of an app",
        examples=["7d793037a0760186574b0282f2f435e7"],
    )
    consents: list[CellOut] = Field(description="All signals for all purposes")
    as_of: int = Field(
        description="How far into the ledger this goes; send it with choices made on it", examples=[18]
    )


class ConsentChanged(ConsentsOut):
    """Every cell after a change, and its receipt."""

    receipt: dict[str, Any] = Field(
        description="The receipt (fields of ISO/IEC TS 27560)",
        examples=[
            {"schema_version": "ISO/IEC TS 27560:2023", "receipt_id": "9f86d081884c7d659a2feaa0c55ad015"}
        ],
    )
    log: PromisedOut = Field(description="Where its entries stand in the transparency log")
    erasure_id: str | None = Field(
        description="When something was taken back, or had ended by itself before it was given anew: `GET /v1/erasures/{erasure_id}` tells how far it is unlearned",
        examples=["4e07408562bedb8b60ce05c1decfe3ad"],
    )


class ShownOut(BaseModel):
    """What was shown of one signal."""

    signal: str = Field(description="The signal", examples=["views"])
    purposes: list[str] = Field(description="The purposes", examples=[["personalise", "improve"]])


class ConsentEventOut(BaseModel):
    """One line of the ledger."""

    seq: int = Field(description="Its place in the app's ledger", examples=[17])
    signal: str = Field(description="The signal", examples=["views"])
    purpose: str = Field(description="The purpose", examples=["personalise"])
    state: State = Field(description="What was recorded", examples=["given"])
    at: str = Field(description="When", examples=["2026-11-22T08:30:00.000Z"])
    expires_at: str | None = Field(
        description="When the grant ends by itself", examples=["2027-11-22T08:30:00.000Z"]
    )
    notice_version: str = Field(description="The notice that was shown", examples=["2026-11-22"])
    notice_sha256: str = Field(
        description="Digest of its exact text",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    locale: str = Field(description="In which locale", examples=["en"])
    method: str = Field(description="How it was chosen", examples=["settings_page"])
    actor: dict[str, str] = Field(description="Who chose", examples=[{"type": "self"}])
    receipt_id: str = Field(description="The receipt", examples=["9f86d081884c7d659a2feaa0c55ad015"])
    prompt_id: str | None = Field(
        description="The prompt that it answers, or is part of", examples=["9f86d081884c7d659a2feaa0c55ad015"]
    )
    place: str | None = Field(description="Where the notice was shown", examples=["onboarding"])
    shown_at: str | None = Field(
        description="When the notice was shown", examples=["2026-11-22T08:29:00.000Z"]
    )
    shown: list[ShownOut] | None = Field(
        description="All that it offered to choose, beside what was chosen; null where nobody said"
    )


class HistoryOut(BaseModel):
    """A page of the ledger of one person."""

    events: list[ConsentEventOut] = Field(description="In order")
    next_cursor: str | None = Field(
        description="Where the next page begins; null on the last", examples=["17"]
    )


class Contribution(BaseModel):
    """What one thing the person did adds to a score."""

    model_config = ConfigDict(extra="allow")

    signal: str = Field(
        description="The signal; `context` for topics of this call, `other` for the rest of a short explanation",
        examples=["views"],
    )
    resource_id: str | None = Field(
        default=None, description="The resource behind it", examples=["box-breathing"]
    )
    topic: str | None = Field(default=None, description="The topic behind it", examples=["sleep"])
    value: float = Field(description="What it adds", examples=[0.42])
    receipt_id: str | None = Field(
        description="The consent that allows it", examples=["9f86d081884c7d659a2feaa0c55ad015"]
    )


class SignalSum(BaseModel):
    """What all that the person did under one signal adds to a score."""

    signal: str = Field(description="The signal; `context` for topics of this call", examples=["views"])
    value: float = Field(description="The sum of its contributions", examples=[0.61])


class Adjustment(BaseModel):
    """What a named rule adds to a score."""

    name: str = Field(description="The rule", examples=["diversity"])
    value: float = Field(description="What it adds", examples=[-0.1])


class CounterfactualOut(BaseModel):
    """Where the item would be without one signal."""

    model_config = ConfigDict(extra="allow")

    without: str = Field(description="The signal", examples=["saves"])
    rank: int | None = Field(
        description="The item's place then; null when it would not be there", examples=[7]
    )


class ExplanationOut(BaseModel):
    """Why an item is there: `base` + contributions + adjustments = `score`."""

    text: str = Field(description="In words", examples=["Because you finished Box breathing."])
    contributions: list[Contribution] = Field(description="What the person did, and what it adds")
    by_signal: list[SignalSum] = Field(description="The same, summed up by signal")
    base: float = Field(description="What the item has from the start", examples=[0.1])
    adjustments: list[Adjustment] = Field(description="Rules that took part")
    counterfactuals: list[CounterfactualOut] = Field(description="One per signal used (explain=full)")


class Item(BaseModel):
    """One recommendation."""

    rank: int = Field(description="Its place", examples=[1])
    resource: Resource = Field(description="What is recommended")
    score: float = Field(description="What it was ranked by", examples=[1.2])
    propensity: float | None = Field(
        default=None,
        description="With `explore`: the probability that this item stands here, given the items above it",
        examples=[0.95],
    )
    explanation: ExplanationOut | None = Field(description="Why; null with explain=none")


class Controls(BaseModel):
    """Single-use links for the person."""

    settings_url: str = Field(
        description="Opens their consent page", examples=["https://assent.example/open/..."]
    )
    why_url: str = Field(
        description="Opens the reasons in full", examples=["https://assent.example/open/..."]
    )
    erase_url: str | None = Field(
        default=None,
        description="A POST with erase=One-Click deletes everything; a GET only shows the button. "
        "Left out where the app's one-click links are turned off",
        examples=["https://assent.example/erase/..."],
    )


class Recommendations(BaseModel):
    """The answer."""

    recommendation_id: str = Field(
        description="A random name of this answer; nothing is stored under it",
        examples=["5feceb66ffc86f38d952786c6d696c79"],
    )
    strategy: Literal["personalised", "editorial", "support_only"] = Field(
        description="How the list came about", examples=["personalised"]
    )
    release: str | None = Field(description="The model that ranked", examples=["20261122-6b86b273"])
    items: list[Item] = Field(description="The list, best first")
    signals_used: list[str] = Field(description="Signals that took part", examples=[["views"]])
    signals_withheld: list[str] = Field(
        description="Signals that the person does not share", examples=[["saves"]]
    )
    support: dict[str, Any] = Field(
        description="Where to turn in a crisis; always there",
        examples=[{"title": "Need to talk to someone now?", "helplines": []}],
    )
    controls: Controls | None = Field(description="Single-use links for the person; null for nobody")


class SimilarItem(BaseModel):
    """A near resource."""

    resource: Resource = Field(description="The resource")
    similarity: float = Field(description="Cosine similarity", examples=[0.8])


class SimilarOut(BaseModel):
    """Resources near one."""

    items: list[SimilarItem] = Field(description="Nearest first")


class Written(BaseModel):
    """How many were written."""

    written: int = Field(description="Resources written", examples=[130])


class ResourcePage(BaseModel):
    """A page of the catalogue."""

    resources: list[Resource] = Field(description="In the order of their ids")
    next_cursor: str | None = Field(
        description="Where the next page begins; null on the last", examples=["box-breathing"]
    )


class LinkOut(BaseModel):
    """A single-use link."""

    url: str = Field(description="Where it leads", examples=["https://assent.example/open/..."])
    expires_at: str = Field(description="When it is over", examples=["2026-11-22T09:30:00.000Z"])


class TrainedOut(BaseModel):
    """A release, as an erasure names it."""

    id: str | None = Field(description="Its id", examples=["20261122-6b86b273"])
    digest: str | None = Field(description="Its digest", examples=["9f86d081884c7d659a2feaa0c55ad015"])


class ErasureOut(BaseModel):
    """An erasure and how far it has come; it names nobody."""

    erasure_id: str = Field(description="Its id", examples=["4e07408562bedb8b60ce05c1decfe3ad"])
    kind: Literal["everything", "withdrawal"] = Field(
        description="Whether a person left, or took grants back", examples=["everything"]
    )
    status: Literal["rows_erased", "retraining", "completed"] = Field(
        description="How far it has come", examples=["retraining"]
    )
    requested_at: str = Field(description="When it was asked for", examples=["2026-11-22T08:30:00.000Z"])
    rows_erased_at: str = Field(description="When all rows were gone", examples=["2026-11-22T08:30:00.000Z"])
    completed_at: str | None = Field(
        description="When the model was without the person", examples=["2026-11-22T08:31:00.000Z"]
    )
    deadline: str = Field(description="By when that will be", examples=["2026-11-25T08:30:00.000Z"])
    backups_until: str = Field(
        description="When the last backup that holds the rows is gone; none that is restored before brings anybody back",
        examples=["2026-12-22T08:30:00.000Z"],
    )
    counts: dict[str, int] = Field(
        description="Rows removed per store", examples=[{"event": 30, "ledger": 12}]
    )
    release_before: TrainedOut = Field(description="What was served before")
    release_after: TrainedOut = Field(description="What is served after")
    releases_destroyed: list[TrainedOut] = Field(
        description="Releases that had learned from the person, once their files are gone"
    )
    steps: dict[str, str] = Field(
        description="The steps that are done, each with its time: recorded, rows_erased, scrubbed, retrained, let_go, destroyed, completed",
        examples=[{"recorded": "2026-11-22T08:30:00.000Z", "rows_erased": "2026-11-22T08:30:00.000Z"}],
    )
    acknowledgement: str | None = Field(
        description="The signed word (JWS) that the rows are gone, to keep until the receipt is there",
        examples=["eyJhbGciOi..."],
    )
    receipt: str | None = Field(
        description="The signed receipt (JWS), once completed", examples=["eyJhbGciOi..."]
    )


class ErasedOut(ErasureOut):
    """An erasure that a link asked for."""

    page_url: str = Field(
        description="Shows for a year how far it has come, and the signed receipt, to whoever holds this link; it needs no key, and says nothing of the person",
        examples=["https://assent.example/erased/..."],
    )


class ErasureStarted(BaseModel):
    """An erasure."""

    erasure: ErasureOut = Field(description="The erasure")


class ReleaseOut(BaseModel):
    """A trained model."""

    release_id: str = Field(description="Its id", examples=["20261122-6b86b273"])
    status: str = Field(
        description="candidate, promoted, retired, rejected, overtaken or destroyed", examples=["promoted"]
    )
    digest: str = Field(
        description="SHA-256 over arrays, names and configuration",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )
    metrics: dict[str, Any] = Field(
        description="What it reached on held-out events", examples=[{"ndcg@10": 0.11}]
    )
    created_at: str = Field(description="When it was trained", examples=["2026-11-22T08:30:00.000Z"])
    promoted_at: str | None = Field(description="When it was promoted", examples=["2026-11-22T08:31:00.000Z"])


class ReleasesOut(BaseModel):
    """A page of releases."""

    releases: list[ReleaseOut] = Field(description="Newest first")
    next_cursor: str | None = Field(
        description="Where the next page begins; null on the last",
        examples=["20261122-101500-6b86b273-5feceb66"],
    )


class TrainingOut(BaseModel):
    """A training that was asked for."""

    training_id: str = Field(description="Its id", examples=["4e07408562bedb8b60ce05c1decfe3ad"])
    status: str = Field(description="Always waiting: a worker takes it", examples=["waiting"])


class ReadyOut(BaseModel):
    """Whether the service can do its work."""

    status: Literal["ready", "not ready"] = Field(description="Whether it can", examples=["ready"])
    reasons: list[str] = Field(description="Why it cannot", examples=[[]])
    degraded: list[str] = Field(
        description="What it does less well at the moment",
        examples=[["the promoted release is missing or damaged"]],
    )


class JwksOut(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]] = Field(
        description="Public keys", examples=[[{"kty": "OKP", "crv": "Ed25519", "use": "sig"}]]
    )


class SignalOut(BaseModel):
    """One signal of the catalogue."""

    id: str = Field(description="Its id", examples=["views"])
    about: str = Field(
        description="What an event points to: resource, topic or nothing", examples=["resource"]
    )
    value: dict[str, Any] | None = Field(
        description="Bounds of the value, where there is one", examples=[{"low": 1, "high": 5}]
    )
    stored: str = Field(description="What is kept", examples=["which resource was opened, and when"])
    sensitivity: str = Field(description="ordinary, sensitive or special", examples=["sensitive"])
    retention_days: int = Field(description="How long an event is kept", examples=[365])
    consent_days: int = Field(description="How long a grant lasts", examples=[365])
    owner: str = Field(description="Who answers for it", examples=["data protection lead"])
    purposes: list[str] = Field(description="What it may be used for", examples=[["personalise"]])
    texts: dict[str, dict[str, str]] = Field(
        description="Title, description and what is stored, per locale",
        examples=[{"en": {"title": "What you open", "description": "...", "stored": "..."}}],
    )


class SignalsOut(BaseModel):
    """The catalogue of signals."""

    signals: list[SignalOut] = Field(description="In the order in which people see them")


MODELS = (
    EventResults, ConsentsOut, ConsentChanged, HistoryOut, Recommendations, SimilarOut, Written, ResourcePage, LinkOut,
    ErasureStarted, ErasureOut, ReleasesOut, ReleaseOut, TrainingOut, ReadyOut, JwksOut, SignalsOut, Resource, *WEBHOOKS,
    *deciding.MODELS, *notices.MODELS, *LOG,
)  # fmt: skip
