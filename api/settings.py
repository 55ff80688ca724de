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

from api.connecting import async_url
from api.webhooks.addresses import Policy, networks
from recommender.release import TrainingConfig
from recommender.workers import Workers

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
    register_url: str = Field(
        default="erasures",
        description="Folder, or any URL that fsspec knows, where the register of erasures lies: apart from the database and its backups, so that a restored backup brings nobody back",
    )
    backup_lifetime_d: Annotated[int, Field(ge=1, le=180)] = Field(
        default=30,
        description="Days after which every backup of the database is gone; the register of erasures reaches as far back",
    )
    backup_database_url: str = Field(
        default="",
        description="PostgreSQL as a role that row-level security does not hold (BYPASSRLS), for backup and restore; the database's own URL when empty",
    )
    postgres_tools: str = Field(
        default="",
        description="Folder of pg_dump, pg_restore and psql of the server's version; found on the PATH when empty",
    )
    secret: SecretStr = Field(
        description="At least 32 random bytes in base64 (`assent secret` prints some). Pseudonyms, links and signing keys hang on it: keep it safe, and keep it"
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
    controller_address: str = Field(default="", description="Their postal address")
    controller_email: str = Field(default="", description="Their e-mail address")
    controller_phone: str = Field(default="", description="Their telephone number")
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
    guardian_below_age: Annotated[int, Field(ge=0, le=18)] = Field(
        default=18,
        description="Age below which only a guardian may turn something on; a band that begins below it counts in full",
    )
    profiling_of_minors: bool = Field(
        default=False,
        description="Whether `personalise` may be turned on for people whom the app told to be under 18",
    )
    ask_again_after_refusal_d: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=180,
        description="Days after a no, or a yes taken back, before an app may ask for the same again",
    )
    ask_again_after_dismissal_d: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=30, description="Days after someone put the question away before an app may ask again"
    )
    ask_again_after_question_d: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=1, description="Days after a question that got no answer before an app may ask again"
    )
    log_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:/_-]{1,64}$")] = Field(
        default="assent",
        description="What the names of the transparency logs begin with: a domain of yours. Checkpoints carry it, so keep it",
    )
    checkpoint_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60, description="Seconds after which a log that has grown gets a signed checkpoint"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=2_000_000, description="Largest request body"
    )
    rate_limit: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=1_000.0,
        description="Requests per second that one key may make of one process, a second's worth at once; 0 for any number",
    )
    recommend_deadline_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        default=2.0,
        description="Seconds until recommendations answer 503 with where to turn, whatever the database does and however slowly the question comes",
    )
    request_deadline_s: Annotated[float, Field(ge=1, le=600)] = Field(
        default=30.0, description="Seconds until any other request that was not answered is answered 503"
    )
    job_lease_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=30.0, description="Seconds that a worker may be silent before its job is taken by another"
    )
    poll_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=0.5, description="Seconds between looks for a new catalogue or release"
    )
    expiring_notice_days: Annotated[int, Field(ge=1, le=180)] = Field(
        default=30, description="Days before a grant ends by itself that webhooks tell of it"
    )
    webhook_networks: str = Field(
        default="",
        description="Networks, separated by commas, that webhooks may reach although they are not public, such as 10.1.0.0/16",
    )
    webhook_http: bool = Field(default=False, description="Whether webhooks may go over plain http too")
    telemetry: Literal["off", "console", "otlp"] = Field(
        default="off",
        description="Where traces and metrics go; `otlp` reads the standard OTEL_EXPORTER_OTLP_* variables",
    )
    training_seed: int = Field(default=0, description="Seed of the model's training")
    training_config: str = Field(
        default="",
        description="How the model is trained: what differs from the defaults, as the JSON that `assent tune` prints",
    )
    training_shards: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Parts of the people that are trained apart, so that an erasure retrains one part alone",
    )
    releases_kept: Annotated[int, Field(ge=0)] = Field(
        default=5, description="How many releases that are not served are kept, to roll back to"
    )
    training_backend: Literal["processes", "dask", "ray"] = Field(
        default="processes", description="Where parts are trained: processes, dask or ray"
    )
    training_jobs: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0, description="How many parts are trained at once on this machine; 0: one per core"
    )
    training_cluster: str = Field(
        default="", description="Address of the Dask or Ray cluster; one on this machine when empty"
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

    @field_validator("training_config")
    @classmethod
    def _known_training(cls, value: str) -> str:
        try:
            given = TrainingConfig.model_validate_json(value or "{}").model_fields_set
        except ValidationError as invalid:
            told = [
                f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}" for each in invalid.errors()
            ]
            raise ValueError("; ".join(told)) from None
        if twice := sorted(given & {"seed", "shards"}):
            raise ValueError(f"{twice[0]}: is a setting of its own, {PREFIX}TRAINING_{twice[0].upper()}")
        return value

    @field_validator("training_cluster")
    @classmethod
    def _reached_as_a_node(cls, value: str) -> str:
        if value.startswith("ray://"):
            raise ValueError("must be the host:port of `ray start --head`; Ray's client (ray://) is not used")
        return value

    @field_validator("webhook_networks")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        try:
            networks(value)
        except ValueError:
            raise ValueError("must be networks such as 10.1.0.0/16, separated by commas") from None
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
            object.__setattr__(self, "public_url", web_address(self.host, self.port))
        return self

    @property
    def webhook_policy(self) -> Policy:
        """Where webhooks may go."""
        return Policy(networks(self.webhook_networks), self.webhook_http)

    @property
    def workers(self) -> Workers:
        """Where parts are trained."""
        return Workers(backend=self.training_backend, jobs=self.training_jobs, address=self.training_cluster)

    @property
    def training(self) -> TrainingConfig:
        """How the model is trained."""
        own = {"seed": self.training_seed, "shards": self.training_shards}
        return TrainingConfig.model_validate_json(self.training_config or "{}").model_copy(update=own)

    @property
    def secret_bytes(self) -> bytes:
        """The secret itself."""
        return base64.b64decode(self.secret.get_secret_value())


def web_address(host: str, port: int) -> str:
    """Return the URL of what listens there; an address of IPv6 stands in brackets (RFC 3986)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
