"""A small world that is known: people of two tastes take up items of their own half, one after another."""

import numpy as np
import polars as pl

from evaluation.datasets import SCHEMA

USERS, ITEMS, EACH = 60, 40, 14
_HOUR = 3_600_000_000


def events(seed: int = 0) -> pl.DataFrame:
    """Events in which person and item are of the same parity, nine times out of ten."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        own = random.permutation(np.arange(user % 2, ITEMS, 2))[: EACH - 1]
        other = random.choice(np.arange(1 - user % 2, ITEMS, 2), 1)
        for item in random.permutation(np.concatenate([own, other])):
            at = int(random.integers(0, 1_000)) * _HOUR + user
            signal = str(random.choice(["views", "completions", "saves"]))
            rows.append((f"canary-{user:02}", f"item-{item:02}", signal, at, None, None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("at", "user", "item")
