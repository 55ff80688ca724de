"""Which cells a notice was shown with: part of every line that was chosen on it, in so few words that it may be.

The signals that were shown for the same purposes stand together: `saves,views=personalise,improve;topics=personalise`.
The same cells give the same text.
"""

from collections.abc import Collection, Iterable, Sequence

from consent.purposes import Purpose

Shown = Collection[tuple[str, Purpose]]
"""Cells, by signal and purpose."""


def written(shown: Shown) -> str:
    """Write cells, at least one."""
    alike: dict[tuple[Purpose, ...], list[str]] = {}
    for signal, purposes in by_signal(shown):
        alike.setdefault(tuple(purposes), []).append(signal)
    return ";".join(f"{','.join(signals)}={','.join(purposes)}" for purposes, signals in alike.items())


def read(text: str) -> list[tuple[str, Purpose]]:
    """Read what was written.

    Raises:
        ValueError: it was not written by `written`.
    """
    found = []
    for group in text.split(";"):
        signals, separator, purposes = group.partition("=")
        if not separator or not signals:
            raise ValueError("a group of cells names signals and purposes")
        found += [
            (signal, Purpose(purpose)) for signal in signals.split(",") for purpose in purposes.split(",")
        ]
    return sorted(found)


def by_signal(shown: Iterable[tuple[str, Purpose]]) -> list[tuple[str, Sequence[Purpose]]]:
    """Put cells together by their signal, in the order of the alphabet; purposes in their own."""
    named = set(shown)
    return [
        (signal, [purpose for purpose in Purpose if (signal, purpose) in named])
        for signal in sorted({signal for signal, _ in named})
    ]
