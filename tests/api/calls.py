"""Every call of the HTTP contract, once, with all it takes to make it: what the matrices over all routes are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from api.keys import Scope
from tests.conftest import NOTICE, event

RESOURCE: Mapping[str, Any] = {
    "id": "tea-and-a-window",
    "title": "Tea and a window",
    "summary": "Ten quiet minutes.",
    "body": "Boil some water.",
    "kind": "exercise",
    "topics": ["stress"],
    "languages": ["en"],
    "source": {"name": "Harbour", "kind": "charity"},
    "evidence": "expert",
    "reviewed_at": "2026-01-01",
    "status": "published",
}

CONSENT: Mapping[str, Any] = {
    "changes": [{"signal": "views", "purpose": "personalise", "state": "given"}],
    "notice_version": NOTICE,
    "locale": "en",
    "method": "test",
}

PROMPT: Mapping[str, Any] = {
    "cells": [{"signal": "saves", "purpose": "improve"}],
    "notice_version": NOTICE,
    "locale": "en",
    "place": "onboarding",
    "method": "dialog",
    "own_wish": True,
}

NOTICE_REQUEST: Mapping[str, Any] = {
    "kind": "editorial",
    "texts": {
        "en": "# Ours\n\n{purposes}\n\n{signals}\n\n{refusal} {withdrawal} {sharing} {deletion} {machine} {rights}"
    },
}


@dataclass(frozen=True)
class Call:
    """One operation: its template as the application has it, and values that make it succeed for whoever owns them."""

    method: str
    template: str
    scope: Scope | None
    body: Any = None
    names: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method in {"PUT", "DELETE"} or (self.method == "POST" and self.template in _WRITING_POSTS)

    def path(self, **names: str) -> str:
        """The path, with these values in place of the usual ones."""
        path = self.template
        for name, value in {**self.names, **names}.items():
            path = path.replace("{" + name + "}", value)
        return f"{path}?{self.query}" if self.query else path


_WRITING_POSTS = {
    "/v1/events", "/v1/notices", "/v1/resources:batch", "/v1/releases", "/v1/releases/{release_id}:promote", "/v1/subscriptions",
    "/v1/subscriptions/{subscription_id}:rotate", "/v1/subscriptions/{subscription_id}:ping", "/v1/users/{user_id}/prompts",
}  # fmt: skip
_USER = {"user_id": "u1"}
_THING = {"resource_id": "tea-and-a-window"}
_HEX = "0" * 32
_LISTENS = {"subscription_id": _HEX}
SUBSCRIPTION: Mapping[str, Any] = {"url": "https://app.example/hooks", "types": ["consent.changed"]}

CALLS = (
    Call("POST", "/v1/recommendations", Scope.RECOMMEND, {"user_id": "u1"}),
    Call("POST", "/v1/recommendations:anonymous", Scope.RECOMMEND, {"context": {"topics": ["sleep"]}}),
    Call("POST", "/v1/recommendations:whatif", Scope.RECOMMEND, {"user_id": "u1", "without": ["views"]}),
    Call("POST", "/v1/events", Scope.EVENTS, {"events": [event("u1", "views", "tea-and-a-window")]}),
    Call("GET", "/v1/users/{user_id}/consents", Scope.CONSENT, names=_USER),
    Call("PUT", "/v1/users/{user_id}/consents", Scope.CONSENT, CONSENT, _USER),
    Call("GET", "/v1/users/{user_id}/consents/history", Scope.CONSENT, names=_USER),
    Call("GET", "/v1/users/{user_id}/decisions", Scope.CONSENT, names=_USER, query="signal=views&purpose=personalise"),
    Call("GET", "/v1/users/{user_id}/prompts", Scope.CONSENT, names=_USER),
    Call("POST", "/v1/users/{user_id}/prompts", Scope.CONSENT, PROMPT, _USER),
    Call("GET", "/v1/users/{user_id}/age-band", Scope.CONSENT, names=_USER),
    Call("PUT", "/v1/users/{user_id}/age-band", Scope.CONSENT, {"age_band": "13_to_15"}, _USER),
    Call("GET", "/v1/users/{user_id}/record", Scope.CONSENT, names=_USER),
    Call("GET", "/v1/users/{user_id}/receipts/{receipt_id}", Scope.CONSENT, names={**_USER, "receipt_id": _HEX}),
    Call("GET", "/v1/users/{user_id}/receipts/{receipt_id}", Scope.CONSENT, names={**_USER, "receipt_id": _HEX}, query="proof=true"),
    Call("DELETE", "/v1/users/{user_id}", Scope.ERASE, names=_USER),
    Call("GET", "/v1/erasures/{erasure_id}", Scope.ERASE, names={"erasure_id": _HEX}),
    Call("GET", "/v1/users/{user_id}/export", Scope.CONSENT, names=_USER),
    Call("POST", "/v1/users/{user_id}/links", Scope.CONSENT, {"kind": "settings"}, _USER),
    Call("GET", "/v1/log/checkpoint", Scope.AUDIT),
    Call("GET", "/v1/log/keys", Scope.AUDIT),
    Call("GET", "/v1/log/inclusion", Scope.AUDIT, query="index=0&size=1"),
    Call("GET", "/v1/log/consistency", Scope.AUDIT, query="from=0&to=1"),
    Call("GET", "/v1/resources", Scope.CATALOG),
    Call("POST", "/v1/resources:batch", Scope.CATALOG, {"resources": [RESOURCE]}),
    Call("PUT", "/v1/resources/{resource_id}", Scope.CATALOG, RESOURCE, _THING),
    Call("GET", "/v1/resources/{resource_id}", Scope.CATALOG, names=_THING),
    Call("DELETE", "/v1/resources/{resource_id}", Scope.CATALOG, names=_THING),
    Call("GET", "/v1/resources/{resource_id}/similar", Scope.RECOMMEND, names=_THING),
    Call("GET", "/v1/releases", Scope.TRAIN),
    Call("POST", "/v1/releases", Scope.TRAIN),
    Call("POST", "/v1/releases/{release_id}:promote", Scope.TRAIN, names={"release_id": "r-0"}),
    Call("POST", "/v1/subscriptions", Scope.CONSENT, SUBSCRIPTION),
    Call("GET", "/v1/subscriptions", Scope.CONSENT),
    Call("GET", "/v1/subscriptions/{subscription_id}", Scope.CONSENT, names=_LISTENS),
    Call("PUT", "/v1/subscriptions/{subscription_id}", Scope.CONSENT, SUBSCRIPTION, _LISTENS),
    Call("POST", "/v1/subscriptions/{subscription_id}:rotate", Scope.CONSENT, names=_LISTENS),
    Call("POST", "/v1/subscriptions/{subscription_id}:ping", Scope.CONSENT, names=_LISTENS),
    Call("GET", "/v1/subscriptions/{subscription_id}/deliveries", Scope.CONSENT, names=_LISTENS),
    Call("DELETE", "/v1/subscriptions/{subscription_id}", Scope.CONSENT, names=_LISTENS),
    Call("GET", "/v1/signals", None),
    Call("GET", "/v1/notices/{locale}", None, names={"locale": "en"}),
    Call("GET", "/v1/notices", Scope.CONSENT),
    Call("POST", "/v1/notices", Scope.ADMIN, NOTICE_REQUEST),
    Call("GET", "/healthz", None),
    Call("GET", "/readyz", None),
    Call("GET", "/.well-known/jwks.json", None),
)  # fmt: skip

PAGES = frozenset({
    "/", "/open/{token}", "/erase/{token}", "/erased/{token}", "/erased/{token}/receipt.json", "/static/assent.css", "/favicon.ico", "/docs",
    "/openapi.json", "/me", "/me/notice", "/me/consents", "/me/delete", "/me/export", "/me/history",
    "/me/language", "/me/receipts/{receipt_id}", "/me/receipts/{receipt_id}.{ending}",
    "/me/why",
})  # fmt: skip
"""What people open in a browser: no key, but a link or a session made for one person of one app."""


def served(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every (method, template) that the application answers, routers within routers included."""
    waiting = list(app.routes)
    while waiting:
        route: Any = waiting.pop()
        inner = getattr(route, "original_router", None)
        if inner is not None:
            waiting += inner.routes
            continue
        yield from ((method, route.path) for method in sorted(route.methods))
