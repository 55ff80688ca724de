"""The JSON that comes in (version 1 of the contract): strict, closed, and never repeated in an error."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.dependencies import ID_RULE, USER_ID
from consent.purposes import Purpose
from consent.signals import SIGNALS
from recommender.catalog import Format, Kind, Topic

UserIdText = Annotated[str, StringConstraints(pattern=USER_ID)]
SignalId = Annotated[str, StringConstraints(pattern="^(" + "|".join(SIGNALS) + ")$")]
EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]
ResourceIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$")]
RegionCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Few = Field(max_length=100)


class Incoming(BaseModel):
    """Base of what comes in: nothing is converted, nothing unknown is let through, nothing sent is repeated in errors."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, frozen=True)


class Filter(Incoming):
    """What the list is limited to; an empty field limits nothing."""

    topics: Annotated[list[Topic], Few] = Field(
        default=[], description="Only resources with one of these topics", examples=[["sleep"]]
    )
    kinds: Annotated[list[Kind], Few] = Field(
        default=[], description="Only these kinds", examples=[["exercise"]]
    )
    languages: Annotated[list[Locale], Few] = Field(
        default=[], description="Only in one of these languages", examples=[["en"]]
    )
    formats: Annotated[list[Format], Few] = Field(
        default=[], description="Only in one of these formats", examples=[["text"]]
    )
    max_minutes: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Only what takes no longer", examples=[15]
    )
    exclude: Annotated[list[ResourceIdText], Field(max_length=1000)] = Field(
        default=[], description="Never these resources", examples=[["box-breathing"]]
    )


class Context(Incoming):
    """What is known of this very moment. It serves this call and is never stored."""

    topics: Annotated[list[Topic], Field(max_length=20)] = Field(
        default=[], description="What the person is looking at now", examples=[["sleep"]]
    )
    locale: Locale | None = Field(
        default=None,
        description="Language of the texts, and of resources unless filtered",
        examples=["en-GB"],
    )
    region: RegionCode | None = Field(
        default=None, description="Country, for helplines and local resources", examples=["GB"]
    )


class RecommendationRequest(Incoming):
    """A question for recommendations."""

    user_id: UserIdText = Field(description=f"The app's own opaque id: {ID_RULE}", examples=["u-4711"])
    limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10, description="How many at most", examples=[10]
    )
    filter: Filter = Field(default_factory=Filter, description="What the list is limited to")
    context: Context = Field(default_factory=Context, description="What is known of this moment")
    explain: Literal["none", "short", "full"] = Field(
        default="short", description="How much is explained", examples=["full"]
    )
    exclude_seen: bool = Field(
        default=True, description="Leave out what the person is known to have used", examples=[True]
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="How much variety counts against score", examples=[0.3]
    )


class WhatIfRequest(RecommendationRequest):
    """The same question, as though some signals were off."""

    without: Annotated[list[SignalId], Field(max_length=len(SIGNALS))] = Field(
        default=[], description="Signals to leave out", examples=[["saves"]]
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
    state: Literal["given", "refused", "withdrawn"] = Field(description="What was chosen", examples=["given"])


class ConsentRequest(Incoming):
    """A person's choices, all or nothing."""

    changes: Annotated[list[ChangeIn], Field(min_length=1, max_length=100)] = Field(description="The choices")
    notice_version: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,32}$")] = Field(
        description="Version of the notice they were shown", examples=["2026-11-22"]
    )
    locale: Locale = Field(description="In which locale", examples=["en"])
    method: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,63}$")] = Field(
        description="How they chose", examples=["settings_page"]
    )
    actor: ActorIn = Field(default=ActorIn(type="self"), description="Who chose")


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


MODELS = (RecommendationRequest, WhatIfRequest, EventBatch, ConsentRequest, ResourceBatch, LinkRequest)
