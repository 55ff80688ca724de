"""What a client would rather have: the `Accept` family of headers (RFC 9110 12.5)."""

from collections.abc import Iterable, Iterator, Sequence

from fastapi import Request

from api.problems import NO_STORE, not_acceptable

_MOST = 20
"""More wishes than these are not read."""
NEGOTIATED = {**NO_STORE, "Vary": "Accept"}
"""Headers of an answer whose media type was chosen."""


def weighted(header: str) -> Iterator[tuple[str, float]]:
    """Read the entries of a header with their weights; what is malformed has none (0)."""
    for entry in header.split(",")[:_MOST]:
        value, *parameters = (part.strip() for part in entry.split(";"))
        weights = [_weight(parameter[2:]) for parameter in parameters if parameter[:2].lower() == "q="]
        if value:
            yield value.lower(), weights[0] if weights else 1.0


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def media_type(accept: str, offered: Sequence[str]) -> str | None:
    """Return which of these media types an `Accept` header would rather have; None when it wants none of them.

    The most specific entry about a type decides its weight; of types with the same weight the first offered wins. No
    header accepts anything.
    """
    wanted = dict(weighted(accept)) or {"*/*": 1.0}

    def weight(offer: str) -> float:
        kind = offer.split("/", 1)[0]
        return next((wanted[name] for name in (offer, f"{kind}/*", "*/*") if name in wanted), 0.0)

    best = max(offered, key=weight)
    return best if weight(best) > 0 else None


def wanted(http: Request, formats: Iterable[str]) -> str:
    """Return which of these media types a request would rather have; a 406 problem when it wants none."""
    offered = tuple(formats)
    chosen = media_type(http.headers.get("accept", ""), offered)
    if chosen is None:
        raise not_acceptable(offered)
    return chosen
