"""Settings: environment variables that begin with ASSENT_, or the flags of the command line. Anything unknown or wrong is refused at start."""

import base64
import binascii
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from api.database import async_url

PREFIX = "ASSENT_"


class SettingsError(Exception):
    """A setting is unknown or wrong; the message names it and never repeats a secret."""


class Settings(BaseModel):
    """Everything that can be set. The description of each is its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str = Field(
        default="sqlite:///assent.db", description="sqlite:///path or postgresql://user:password@host/name"
    )
    releases_url: str = Field(
        default="releases", description="Folder, or any URL that fsspec knows, where trained releases lie"
    )
    secret: SecretStr = Field(
        description="At least 32 random bytes in base64 (`assent secret` prints some). Pseudonyms, links and receipts hang on it: keep it safe, and keep it"
    )
    public_url: str = Field(
        default="",
        description="Where people's browsers reach this service; links begin with it. http://host:port when empty",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8000, description="Port to listen on; 0 takes a free one"
    )
    controller_name: str = Field(
        default="", description="Who answers for the data, as receipts say; the app's name when empty"
    )
    controller_contact: str = Field(default="", description="How to reach them")
    jurisdiction: str = Field(default="EU", description="Under which law the data is kept")
    storage_location: str = Field(default="EU", description="Where the data is kept")
    link_ttl_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = Field(
        default=86_400, description="Seconds that the links in a recommendation work"
    )
    session_ttl_s: Annotated[int, Field(ge=60, le=86_400)] = Field(
        default=1_800, description="Seconds that an opened consent page works"
    )
    erasure_deadline_h: Annotated[int, Field(ge=1, le=720)] = Field(
        default=72, description="Hours within which the model has to be trained without an erased person"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=2_000_000, description="Largest request body"
    )
    poll_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=0.5, description="Seconds between looks for a new catalogue or release"
    )
    telemetry: Literal["off", "console", "otlp"] = Field(
        default="off",
        description="Where traces and metrics go; `otlp` reads the standard OTEL_EXPORTER_OTLP_* variables",
    )
    training_seed: int = Field(default=0, description="Seed of the model's training")
    training_shards: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Parts of the people that are trained apart, so that an erasure retrains one part alone",
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        async_url(value)
        return value

    @field_validator("secret")
    @classmethod
    def _long_secret(cls, value: SecretStr) -> SecretStr:
        try:
            raw = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error:
            raise ValueError("must be base64") from None
        if len(raw) < 32:
            raise ValueError("must hold at least 32 bytes")
        return value

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _reach_itself(self) -> Self:
        # The model is frozen for everybody else.
        if not self.public_url:
            object.__setattr__(self, "public_url", f"http://{self.host}:{self.port}")
        return self

    @property
    def secret_bytes(self) -> bytes:
        """The secret itself."""
        return base64.b64decode(self.secret.get_secret_value())


def load(environment: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Read the settings; flags that are None leave the environment's word.

    Raises:
        SettingsError: names every unknown or wrong setting.
    """
    environment = os.environ if environment is None else environment
    names = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in names)
    problems = [f"{name} is not a setting{_suggestion(name, names)}" for name in unknown]
    values: dict[str, Any] = {names[name]: value for name, value in environment.items() if name in names}
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False, include_url=False):
            field = str(error["loc"][0]) if error["loc"] else ""
            problems.append(f"{PREFIX}{field.upper()}: {error['msg'].removeprefix('Value error, ')}")
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _suggestion(name: str, names: Mapping[str, str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
