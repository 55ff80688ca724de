"""Splits: what is learned from, what is known of the people who are tested, and what they should be shown.

An *uptake* is the first event of a person with an item, impressions aside. Each rule is a value that a configuration
can hold; each division is audited before anyone sees it. A validation part is cut from `train` by the same rule.

| kind | the test | leaves open |
|---|---|---|
| `global` | everything after one moment | newcomers after the cut are not measured |
| `per_user` | each person's own last share of uptakes | others' later events are known while learning |
| `leave_last` | each person's last n uptakes | the same |
| `random` | a random share of each person's uptakes | time leaks; for comparison with papers only |
| `cold_users` | people who begin after one moment | their own first events are known when they ask |
| `cold_items` | items first taken up after one moment | |
| `user_folds` | each person once, k folds | others' later events are known while learning |
"""

from typing import Annotated

from pydantic import Field

from evaluation.splits.audit import audit
from evaluation.splits.cold import ColdItems, ColdUsers
from evaluation.splits.crossed import UserFolds
from evaluation.splits.rule import Promise, Split, SplitRule
from evaluation.splits.shuffled import RandomPairs
from evaluation.splits.temporal import GlobalTime, LeaveLast, PerUserTime
from evaluation.splits.uptakes import core, uptakes

__all__ = [
    "RULES",
    "AnyRule",
    "ColdItems",
    "ColdUsers",
    "GlobalTime",
    "LeaveLast",
    "PerUserTime",
    "Promise",
    "RandomPairs",
    "Split",
    "SplitRule",
    "UserFolds",
    "audit",
    "core",
    "uptakes",
]

AnyRule = Annotated[
    GlobalTime | PerUserTime | LeaveLast | RandomPairs | ColdUsers | ColdItems | UserFolds,
    Field(discriminator="kind"),
]
"""What a configuration takes as `split`."""

RULES: tuple[type[SplitRule], ...] = (
    GlobalTime,
    PerUserTime,
    LeaveLast,
    RandomPairs,
    ColdUsers,
    ColdItems,
    UserFolds,
)
"""Every rule; whatever is here is held to the contract of `TestEverySplit`."""
