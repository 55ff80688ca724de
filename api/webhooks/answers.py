"""What the API answers about webhooks; described here for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel, Field


class SubscriptionOut(BaseModel):
    """Where some types of webhooks go."""

    subscription_id: str = Field(description="Its id", examples=["4e07408562bedb8b60ce05c1decfe3ad"])
    url: str = Field(description="Where they are sent", examples=["https://app.example/assent-webhooks"])
    types: list[str] = Field(description="What is told", examples=[["consent.changed"]])
    created_at: str = Field(description="Since when", examples=["2026-11-22T08:30:00.000Z"])
    secret_generation: int = Field(
        description="Which secret signs: the first is 1, each rotation adds one", examples=[1]
    )
    previous_secret_until: str | None = Field(
        description="Until when the secret before signs too", examples=["2026-11-23T08:30:00.000Z"]
    )


class SubscriptionWithSecret(SubscriptionOut):
    """A subscription with its secret, which is shown now and never again."""

    secret: str = Field(
        description="Signs the webhooks: HMAC-SHA256 under the bytes behind the prefix, in base64",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )


class SubscriptionsOut(BaseModel):
    """Every subscription of the app."""

    subscriptions: list[SubscriptionOut] = Field(description="Oldest first")


class PingOut(BaseModel):
    """A test message on its way."""

    message_id: str = Field(
        description="Its `webhook-id`; look for it among the deliveries",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )


class DeliveryOut(BaseModel):
    """How far a message has come; it names nobody."""

    message_id: str = Field(
        description="Its `webhook-id`, the same for every attempt",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )
    sequence: int = Field(description="Its number among the subscription's messages", examples=[17])
    type: str = Field(description="What it tells", examples=["consent.changed"])
    status: Literal["waiting", "delivered", "dead"] = Field(
        description="`dead` was tried for days and is left to the operator", examples=["delivered"]
    )
    attempts: int = Field(description="How often it was tried", examples=[1])
    result: str | None = Field(
        description="What became of the last attempt: the status that was answered, timeout, connection, or not_allowed",
        examples=["status_204"],
    )
    created_at: str = Field(description="When it became true", examples=["2026-11-22T08:30:00.000Z"])
    due_at: str | None = Field(
        description="When it is tried next, while it waits", examples=["2026-11-22T08:30:05.000Z"]
    )
    ended_at: str | None = Field(
        description="When it was delivered, or given up", examples=["2026-11-22T08:30:01.000Z"]
    )


class DeliveriesOut(BaseModel):
    """A page of messages."""

    deliveries: list[DeliveryOut] = Field(description="Newest first")
    next_cursor: str | None = Field(description="Where the next page begins", examples=["17"])


MODELS = (SubscriptionOut, SubscriptionWithSecret, SubscriptionsOut, PingOut, DeliveriesOut)
