"""The JSON that comes in (version 1 of the contract): strict, closed, and never repeated in an error."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.dependencies import ID_RULE, USER_ID
from consent.minors import AgeBand
from consent.purposes import Purpose
from consent.signals import SIGNALS
from recommender.catalog import Format, Kind, Topic

UserIdText = Annotated[str, StringConstraints(pattern=USER_ID)]
SignalId = Annotated[str, StringConstraints(pattern="^(" + "|".join(SIGNALS) + ")$")]
EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
ResourceIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$")]
RegionCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
WebhookType = Literal[
    "consent.changed", "consent.expiring", "consent.expired", "erasure.rows_erased", "erasure.completed"
]
NoticeVersion = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,32}$")]
HexId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
SCREEN_WORDS = r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}$"
Word = Annotated[str, StringConstraints(pattern=SCREEN_WORDS)]
"""An app's few words for a part of itself, such as "settings page": the same in everybody's rows, and nothing about a person."""
Few = Field(max_length=100)


class Incoming(BaseModel):
    """Base of what comes in: nothing is converted, nothing unknown is let through, nothing sent is repeated in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, frozen=True)


class Filter(Incoming):
    """What the list is limited to; an empty field limits nothing."""

    topics: Annotated[tuple[Topic, ...], Few] = Field(
        default=(), description="Only resources with one of these topics", examples=[["sleep"]]
    )
    kinds: Annotated[tuple[Kind, ...], Few] = Field(
        default=(), description="Only these kinds", examples=[["exercise"]]
    )
    languages: Annotated[tuple[Locale, ...], Few] = Field(
        default=(), description="Only in one of these languages", examples=[["en"]]
    )
    formats: Annotated[tuple[Format, ...], Few] = Field(
        default=(), description="Only in one of these formats", examples=[["text"]]
    )
    max_minutes: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Only what takes no longer", examples=[15]
    )
    exclude: Annotated[tuple[ResourceIdText, ...], Field(max_length=1000)] = Field(
        default=(), description="Never these resources", examples=[["box-breathing"]]
    )
    max_shown: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Not what they were shown this often lately; needs the signal `impressions`",
        examples=[5],
    )


class Context(Incoming):
    """What is known of this very moment. It serves this call and is never stored."""

    topics: Annotated[tuple[Topic, ...], Field(max_length=20)] = Field(
        default=(), description="What the person is looking at now", examples=[["sleep"]]
    )
    locale: Locale | None = Field(
        default=None,
        description="Language of the texts, and of resources unless filtered",
        examples=["en-GB"],
    )
    region: RegionCode | None = Field(
        default=None, description="Country, for helplines and local resources", examples=["GB"]
    )
    minutes: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="How much time the person has: what fits comes first", examples=[10]
    )
    formats: Annotated[tuple[Format, ...], Few] = Field(
        default=(), description="What suits this moment comes first, such as audio", examples=[["audio"]]
    )


class AnonymousRequest(Incoming):
    """A question for recommendations for somebody who has no id: nothing counts but what it says."""

    limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10, description="How many at most", examples=[10]
    )
    filter: Filter = Field(default=Filter(), description="What the list is limited to")
    context: Context = Field(default=Context(), description="What is known of this moment")
    explain: Literal["none", "short", "full"] = Field(
        default="short", description="How much is explained", examples=["full"]
    )
    exclude_seen: bool = Field(
        default=True, description="Leave out what the person is known to have used", examples=[True]
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="How much variety counts against score", examples=[0.3]
    )
    freshness: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="How much a recent review lifts a resource", examples=[0.2]
    )
    explore: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Probability with which each place goes to something new, drawn by chance; each item then has its propensity",
        examples=[0.05],
    )


class RecommendationRequest(AnonymousRequest):
    """A question for recommendations for one person."""

    user_id: UserIdText = Field(description=f"The app's own opaque id: {ID_RULE}", examples=["u-4711"])


class WhatIfRequest(RecommendationRequest):
    """The same question, as though some signals were off."""

    without: Annotated[tuple[SignalId, ...], Field(max_length=len(SIGNALS))] = Field(
        default=(), description="Signals to leave out", examples=[["saves"]]
    )


class EventIn(Incoming):
    """One thing a person did."""

    event_id: EventId = Field(
        description="The app's id of the event; sending it again changes nothing", examples=["e-1"]
    )
    user_id: UserIdText = Field(description=f"Who did it: {ID_RULE}", examples=["u-4711"])
    signal: SignalId = Field(description="Which signal it is of", examples=["views"])
    resource_id: ResourceIdText | None = Field(
        default=None, description="The resource it is about", examples=["box-breathing"]
    )
    topic: Topic | None = Field(default=None, description="The topic it is about", examples=["sleep"])
    value: float | None = Field(
        default=None, allow_inf_nan=False, description="Its value, where the signal has one", examples=[5]
    )
    occurred_at: AwareDatetime = Field(
        description="When it happened (RFC 3339)", examples=["2026-11-22T08:30:00Z"]
    )


class EventBatch(Incoming):
    """Up to 1,000 events."""

    events: Annotated[list[EventIn], Field(min_length=1, max_length=1000)] = Field(description="The events")


class ActorIn(Incoming):
    """Who chose."""

    type: Literal["self", "guardian"] = Field(
        description="The person, or a guardian for them", examples=["self"]
    )
    id: UserIdText | None = Field(
        default=None, description="The app's id of the guardian; kept as a keyed hash", examples=["g-12"]
    )


class ChangeIn(Incoming):
    """One choice."""

    signal: SignalId = Field(description="Which signal", examples=["views"])
    purpose: Purpose = Field(description="For what", examples=["personalise"])
    state: Literal["given", "refused", "withdrawn", "deferred"] = Field(
        description="What was chosen; `deferred` is to close the question without an answer, and grants nothing",
        examples=["given"],
    )


class CellIn(Incoming):
    """One signal for one purpose."""

    signal: SignalId = Field(description="Which signal", examples=["views"])
    purpose: Purpose = Field(description="For what", examples=["personalise"])


class ShownIn(Incoming):
    """What the person was shown when they chose."""

    cells: Annotated[list[CellIn], Field(min_length=1, max_length=100)] = Field(
        description="All that could be chosen there, whether or not it was"
    )
    place: Word = Field(description="Where in the app", examples=["onboarding"])
    at: AwareDatetime | None = Field(
        default=None, description="When, if the app knows it", examples=["2026-11-22T08:29:00Z"]
    )


class ConsentRequest(Incoming):
    """A person's choices, all or nothing."""

    changes: Annotated[list[ChangeIn], Field(min_length=1, max_length=100)] = Field(description="The choices")
    notice_version: NoticeVersion = Field(
        description="Version of the notice they were shown", examples=["2026-11-22"]
    )
    locale: Locale = Field(description="In which locale", examples=["en"])
    method: Word = Field(description="How they chose", examples=["settings_page"])
    actor: ActorIn = Field(default=ActorIn(type="self"), description="Who chose")
    as_of: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="`as_of` of the answer that the person's choice rests on: a later no then goes before their yes",
        examples=[17],
    )
    prompt_id: HexId | None = Field(
        default=None,
        description="The recorded prompt that this answers",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )
    shown: ShownIn | None = Field(
        default=None, description="What was shown, when no prompt was recorded before"
    )


class PromptRequest(Incoming):
    """A notice about to be shown."""

    cells: Annotated[list[CellIn], Field(min_length=1, max_length=100)] = Field(
        description="What it asks for"
    )
    notice_version: NoticeVersion = Field(description="The version to be shown", examples=["2026-11-22"])
    locale: Locale = Field(description="In which locale", examples=["en"])
    place: Word = Field(description="Where in the app", examples=["onboarding"])
    method: Word = Field(description="In which way", examples=["dialog"])
    own_wish: bool = Field(
        default=False,
        description="The person opened it themselves: then it is never too soon",
        examples=[False],
    )
    actor: ActorIn = Field(default=ActorIn(type="self"), description="Who is shown it")


class AgeBandRequest(Incoming):
    """How old a person is, as far as the law asks."""

    age_band: AgeBand = Field(description="The band; never an age or a birthday", examples=["13_to_15"])


class ResourceBatch(Incoming):
    """Resources to write, all or nothing."""

    resources: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1000)] = Field(
        description="The resources", examples=[[{"id": "box-breathing", "title": "Box breathing"}]]
    )


class LinkRequest(Incoming):
    """A link to ask for."""

    kind: Literal["settings", "why", "erase"] = Field(description="What it opens", examples=["settings"])
    ttl_s: Annotated[int, Field(ge=60, le=2_592_000)] = Field(
        default=3600, description="Seconds that it works", examples=[3600]
    )
    guardian_id: UserIdText | None = Field(
        default=None,
        description="The app's id of a guardian who is to choose for the person; for `settings` alone",
        examples=["g-12"],
    )


class SubscriptionRequest(Incoming):
    """Where webhooks go, and which."""

    url: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        description="Where they are sent, by POST: https, and on the open Internet",
        examples=["https://app.example/assent-webhooks"],
    )
    types: Annotated[list[WebhookType], Field(min_length=1, max_length=5)] = Field(
        description="What to hear of", examples=[["consent.changed", "erasure.completed"]]
    )


MODELS = (
    AnonymousRequest, RecommendationRequest, WhatIfRequest, EventBatch, ConsentRequest, PromptRequest, AgeBandRequest, ResourceBatch, LinkRequest,
    SubscriptionRequest,
)  # fmt: skip
