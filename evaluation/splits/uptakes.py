"""What splits count: uptakes, and the core of people and items that have enough of them."""

import polars as pl


def uptakes(events: pl.DataFrame) -> pl.DataFrame:
    """The first event of each person with each item, in the order of time.

    Impressions do not count: being shown is not taking up.
    """
    taken = events.filter(pl.col("item").is_not_null(), pl.col("signal") != "impressions")
    return taken.sort("at", maintain_order=True).unique(["user", "item"], keep="first", maintain_order=True)


def core(events: pl.DataFrame, *, items_per_user: int, users_per_item: int) -> pl.DataFrame:
    """Keep the largest part where every user has taken up that many items, and every item that many users.

    Filters users and items until nothing changes. A kept user keeps events without an item as well.
    """
    pairs = uptakes(events).select("user", "item")
    while True:
        enough_items = pl.len().over("user") >= items_per_user
        enough_users = pl.len().over("item") >= users_per_item
        kept = pairs.filter(enough_items, enough_users)
        if len(kept) == len(pairs):
            break
        pairs = kept
    users, items = pairs["user"].unique().implode(), pairs["item"].unique().implode()
    return events.filter(pl.col("user").is_in(users), pl.col("item").is_null() | pl.col("item").is_in(items))
