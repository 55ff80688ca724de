"""The catalogue: what a resource is, and which resources may be recommended at all."""

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

RESOURCE_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}$"
TOPIC_ID = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"


class Kind(StrEnum):
    """What a resource is."""

    EXERCISE = "exercise"
    ARTICLE = "article"
    AUDIO = "audio"
    VIDEO = "video"
    COURSE = "course"
    SUPPORT_GROUP = "support_group"
    TELETHERAPY = "teletherapy"
    HELPLINE = "helpline"
    CHATBOT = "chatbot"
    APP = "app"


class Intensity(StrEnum):
    """How much a resource asks of a person."""

    GENTLE = "gentle"
    MODERATE = "moderate"
    DEMANDING = "demanding"


class SourceKind(StrEnum):
    """Who stands behind a resource."""

    PUBLIC_HEALTH = "public_health"
    CHARITY = "charity"
    UNIVERSITY = "university"
    CLINICAL = "clinical"
    COMMUNITY = "community"
    COMMERCIAL = "commercial"


class Evidence(StrEnum):
    """What a resource rests on, strongest first."""

    GUIDELINE = "guideline"
    TRIAL = "trial"
    EXPERT = "expert"
    LIVED_EXPERIENCE = "lived_experience"


class Status(StrEnum):
    """Where a resource is in its life; only published ones are recommended."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class Cost(StrEnum):
    """What a resource costs the person who uses it."""

    FREE = "free"
    FREEMIUM = "freemium"
    DONATION = "donation"
    INSURANCE = "insurance"
    PAID = "paid"


class Format(StrEnum):
    """How a resource is taken in; it follows from the kind, see `FORMATS`."""

    TEXT = "text"
    AUDIO = "audio"
    VIDEO = "video"
    INTERACTIVE = "interactive"
    IN_PERSON = "in_person"
    PHONE = "phone"


FORMATS: dict[Kind, frozenset[Format]] = {
    Kind.EXERCISE: frozenset({Format.TEXT, Format.INTERACTIVE}),
    Kind.ARTICLE: frozenset({Format.TEXT}),
    Kind.AUDIO: frozenset({Format.AUDIO}),
    Kind.VIDEO: frozenset({Format.VIDEO}),
    Kind.COURSE: frozenset({Format.TEXT, Format.INTERACTIVE}),
    Kind.SUPPORT_GROUP: frozenset({Format.IN_PERSON, Format.VIDEO}),
    Kind.TELETHERAPY: frozenset({Format.VIDEO, Format.PHONE}),
    Kind.HELPLINE: frozenset({Format.PHONE}),
    Kind.CHATBOT: frozenset({Format.TEXT, Format.INTERACTIVE}),
    Kind.APP: frozenset({Format.INTERACTIVE}),
}
"""The formats of each kind. A filter by format keeps a resource when any of its kind's formats is asked for."""

_HTTP_URL = TypeAdapter(HttpUrl)


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


def _web_address(text: str) -> str:
    try:
        _HTTP_URL.validate_python(text)
    except ValidationError:
        raise ValueError("must be a complete http or https address") from None
    return text


def _calendar_day(given: object) -> object:
    """Let days and their RFC 3339 form through, and none of the times and numbers that pydantic would read as a day."""
    if isinstance(given, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", given, re.ASCII):
        return given
    if given is None or (isinstance(given, date) and not isinstance(given, datetime)):
        return given
    raise ValueError("must be a day as YYYY-MM-DD")


def _without_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not name anything twice")
    return values


ResourceId = Annotated[str, StringConstraints(pattern=RESOURCE_ID)]
Topic = Annotated[str, StringConstraints(pattern=TOPIC_ID, max_length=64)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Url = Annotated[
    str,
    StringConstraints(min_length=8, max_length=2048),
    AfterValidator(_no_nul),
    AfterValidator(_web_address),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_nul)]
Term = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^|\x00]+$")]
Day = Annotated[date, BeforeValidator(_calendar_day)]
Whole = Annotated[int, Field(strict=True)]


class Source(BaseModel):
    """Who made a resource."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: ShortText = Field(description="The organisation or person behind it.", examples=["NHS"])
    url: Url | None = Field(
        default=None, description="Where to read about them.", examples=["https://www.nhs.uk/"]
    )
    kind: SourceKind = Field(description="What sort of organisation it is.", examples=["public_health"])


class Resource(BaseModel):
    """One entry of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: ResourceId = Field(description="The app's own id.", examples=["box-breathing"])
    title: ShortText = Field(description="What people see first.", examples=["Box breathing"])
    summary: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_no_nul)] = (
        Field(
            description="One or two sentences on what it is.",
            examples=["Four slow counts in, hold, out, hold."],
        )
    )
    url: Url | None = Field(
        default=None,
        description="Where it is, when it is elsewhere.",
        examples=["https://www.nhs.uk/every-mind-matters/"],
    )
    body: (
        Annotated[str, StringConstraints(min_length=1, max_length=100_000), AfterValidator(_no_nul)] | None
    ) = Field(
        default=None,
        description="Its text in Markdown, when it is here.",
        examples=["Breathe in for four counts."],
    )
    kind: Kind = Field(description="What it is.", examples=["exercise"])
    topics: Annotated[tuple[Topic, ...], Field(max_length=20), AfterValidator(_without_repeats)] = Field(
        default=(),
        description="What it is about: ids in snake_case, at most 20.",
        examples=[["anxiety", "stress"]],
    )
    languages: Annotated[
        tuple[Language, ...], Field(min_length=1, max_length=50), AfterValidator(_without_repeats)
    ] = Field(description="Languages it is offered in, the main one first (BCP 47).", examples=[["en"]])
    regions: Annotated[tuple[Region, ...], Field(max_length=250), AfterValidator(_without_repeats)] = Field(
        default=(),
        description="Countries it serves (ISO 3166-1); none means everywhere.",
        examples=[["GB", "IE"]],
    )
    minutes: Annotated[Whole, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="How long it takes.", examples=[5]
    )
    intensity: Intensity = Field(
        default=Intensity.GENTLE, description="How much it asks of a person.", examples=["gentle"]
    )
    content_warnings: Annotated[tuple[Term, ...], Field(max_length=20)] = Field(
        default=(), description="What it mentions that may upset.", examples=[["mentions loss"]]
    )
    contraindications: Annotated[tuple[Term, ...], Field(max_length=20)] = Field(
        default=(),
        description="When it should not be used. One that is also a topic id keeps it from whoever asks for that topic.",
        examples=[["trauma"]],
    )
    source: Source | None = Field(default=None, description="Who made it.")
    evidence: Evidence | None = Field(default=None, description="What it rests on.", examples=["guideline"])
    reviewed_at: Day | None = Field(
        default=None, description="The day it was last reviewed.", examples=["2026-03-01"]
    )
    reviewed_by: ShortText | None = Field(
        default=None, description="Who reviewed it.", examples=["Clinical content team"]
    )
    review_due: Day | None = Field(
        default=None,
        description="The last day on which that review holds; none means until it changes.",
        examples=["2028-03-01"],
    )
    cost: Cost = Field(default=Cost.FREE, description="What it costs the person.", examples=["free"])
    status: Status = Field(
        default=Status.DRAFT, description="Only published ones are recommended.", examples=["published"]
    )
    editorial_rank: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Its place in the editors' list; 1 comes first.", examples=[1]
    )
    translation_of: ResourceId | None = Field(
        default=None,
        description="The id of the resource that this one translates.",
        examples=["box-breathing"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url is not None and self.body is not None:
            raise ValueError("give either url or body, not both")
        if self.status is Status.PUBLISHED and self.url is None and self.body is None:
            raise ValueError("a published resource needs a url or a body")
        if self.reviewed_at and self.review_due and self.review_due < self.reviewed_at:
            raise ValueError("review_due must not be before reviewed_at")
        return self

    @property
    def credible(self) -> bool:
        """Whether its source is named and says what it rests on; what someone sells needs more than their own word."""
        if self.source is None or self.evidence is None:
            return False
        return not (self.source.kind is SourceKind.COMMERCIAL and self.evidence is Evidence.LIVED_EXPERIENCE)

    def eligible(self, on: date) -> bool:
        """Whether it may be recommended on that day (UTC): published, reviewed, not overdue, credible."""
        first, last = self.eligible_days
        return first <= on.toordinal() <= last

    @property
    def eligible_days(self) -> tuple[int, int]:
        """The first and last day of eligibility as proleptic ordinals; an empty span when there is none."""
        if self.status is not Status.PUBLISHED or self.reviewed_at is None or not self.credible:
            return 1, 0
        return self.reviewed_at.toordinal(), (self.review_due or date.max).toordinal()

    @property
    def formats(self) -> frozenset[Format]:
        """How it is taken in."""
        return FORMATS[self.kind]
