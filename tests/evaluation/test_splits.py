from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.datasets import SCHEMA
from evaluation.errors import EmptySplitError, LeakError
from evaluation.splits import Kind, Split, SplitConfig, audit, core, cut, split, uptakes
from tests.evaluation import generated

KINDS: tuple[Kind, ...] = ("per_user", "global")
ROW = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(["w", "x", "y", "z", None]),
    st.sampled_from(["views", "saves", "impressions"]),
    st.integers(0, 12),
)


def frame(rows: Sequence[tuple[str, str | None, str, int]]) -> pl.DataFrame:
    """Events of rows of user, item, signal and time."""
    return pl.DataFrame([(*row, None, None) for row in rows], schema=SCHEMA, orient="row")


def views(user: str, *items: str, start: int = 0) -> list[tuple[str, str | None, str, int]]:
    """One view after another."""
    return [(user, item, "views", start + place) for place, item in enumerate(items)]


class TestCut:
    def test_per_user_takes_each_ones_last_fifth(self) -> None:
        """Of five uptakes of a person at five moments, the last is the test."""
        found = cut(frame(views("a", *"vwxyz") + views("b", *"vwxyz", start=100)), "per_user", 0.2)
        assert found.test.select("user", "item").rows() == [("a", "z"), ("b", "z")]
        assert len(found.train) == 8

    def test_global_cuts_everyone_at_one_moment(self) -> None:
        """The last fifth of all uptakes is the test, whoever they belong to."""
        found = cut(frame(views("a", *"vwxyz") + views("b", *"vwxyz", start=100)), "global", 0.2)
        assert found.test.select("user", "item").rows() == [("b", "y"), ("b", "z")]

    def test_events_of_one_moment_stay_together(self) -> None:
        """A moment that spans the cut goes to the test as a whole."""
        rows = [
            ("a", item, "views", at) for item, at in zip("stuvwxyz", [1, 2, 3, 4, 5, 5, 5, 5], strict=True)
        ]
        found = cut(frame(rows), "per_user", 0.25)
        assert found.train["item"].to_list() == list("stuv")

    def test_all_at_the_first_moment_stays_in_train(self) -> None:
        """Someone whose cut would leave nothing to learn from is cut at their next moment, or not at all."""
        rows = [("a", item, "views", 1) for item in "vwxy"] + [("a", "z", "views", 2)]
        rows += [("b", item, "views", 7) for item in "vwxyz"]
        found = cut(frame(rows), "per_user", 0.5)
        assert found.test.select("user", "item").rows() == [("a", "z")]
        assert found.train.filter(user="b").height == 5

    def test_repeats_of_known_items_are_neither(self) -> None:
        """Using a known item again after the cut is nothing to find, and nothing to learn from."""
        rows = [*views("a", *"vwxy"), ("a", "v", "saves", 4), ("a", "z", "views", 5)]
        found = cut(frame(rows), "per_user", 0.2)
        assert found.test["item"].to_list() == ["z"]
        assert found.train["item"].to_list() == list("vwxyv")

    @pytest.mark.parametrize("kind", KINDS)
    def test_too_little_is_refused(self, kind: Kind) -> None:
        """Events of a single moment cannot be cut, and the message names the empty part."""
        with pytest.raises(EmptySplitError, match="the test part of the split has no events"):
            cut(frame([("a", item, "views", 1) for item in "vwxyz"]), kind, 0.2)

    @settings(deadline=None)
    @given(st.lists(ROW, min_size=1, max_size=40), st.sampled_from(KINDS), st.sampled_from([0.1, 0.2, 0.5]))
    def test_never_leaks(
        self, rows: list[tuple[str, str | None, str, int]], kind: Kind, share: float
    ) -> None:
        """Whatever the events: no pair is in both parts, no past reaches into the test, no uptake is invented."""
        events = frame(rows)
        try:
            found = cut(events, kind, share)
        except EmptySplitError:
            return
        taken = uptakes(events)
        learned = set(uptakes(found.train).select("user", "item").rows())
        tested = set(found.test.select("user", "item").rows())
        assert not learned & tested
        assert learned | tested == set(taken.select("user", "item").rows())
        for user, begin in found.test.group_by("user").agg(pl.col("at").min()).rows():
            times = [
                at for who, at in found.train.select("user", "at").rows() if who == user or kind == "global"
            ]
            assert all(at < begin for at in times)


class TestAudit:
    def clean(self, kind: Kind = "per_user") -> Split:
        return cut(frame(views("a", *"vwxyz") + views("b", *"vwxyz", start=100)), kind, 0.2)

    @pytest.mark.parametrize("kind", KINDS)
    def test_catches_a_pair_in_both_parts(self, kind: Kind) -> None:
        """A pair of the test planted into train is found and shown."""
        good = self.clean(kind)
        planted = good.test.head(1).with_columns(at=pl.lit(0, pl.Int64))
        number = "ab".index(planted["user"][0])
        item = planted["item"][0]
        with pytest.raises(
            LeakError, match=f"1 pairs are in train and in test: user number {number} with item {item}$"
        ):
            audit(Split(kind, pl.concat([good.train, planted]), good.test))

    @pytest.mark.parametrize("kind", KINDS)
    def test_catches_training_after_the_test_begins(self, kind: Kind) -> None:
        """An event of a tested person at the very moment when the test begins is found and shown."""
        good = self.clean(kind)
        planted = good.test.head(1).with_columns(item=pl.lit("other"))
        with pytest.raises(
            LeakError, match=r"1 events in train are not before the test .* user number \d trains at"
        ):
            audit(Split(kind, pl.concat([good.train, planted]), good.test))

    def test_in_a_global_split_nobody_may_be_late(self) -> None:
        """A late event of someone who is not tested leaks in a global split, not in a per-user one."""
        good = self.clean("global")
        late = frame([("c", "v", "views", 10_000)])
        with pytest.raises(LeakError):
            audit(Split("global", pl.concat([good.train, late]), good.test))
        audit(Split("per_user", pl.concat([good.train, late]), good.test))


class TestCore:
    def test_filters_until_nothing_changes(self) -> None:
        """Leaving out an item can leave a user with too few, who goes as well."""
        rows = views("a", "x", "y") + views("b", "x", "y") + views("c", "x", "z")
        kept = core(frame(rows), items_per_user=2, users_per_item=2)
        assert set(kept["user"]) == {"a", "b"}
        assert set(kept["item"]) == {"x", "y"}

    def test_repeats_count_once(self) -> None:
        """Five views of one item are one item."""
        rows = [("a", "x", "views", at) for at in range(5)]
        assert core(frame(rows), items_per_user=2, users_per_item=1).is_empty()

    def test_kept_people_keep_their_topics(self) -> None:
        """Events without an item stay with whoever stays."""
        rows: list[tuple[str, str | None, str, int]] = [
            *views("a", "x", "y"),
            ("a", None, "searches", 9),
            ("b", None, "searches", 9),
        ]
        assert len(core(frame(rows), items_per_user=2, users_per_item=1)) == 3

    @settings(deadline=None)
    @given(st.lists(ROW, max_size=40), st.integers(1, 3), st.integers(1, 3))
    def test_what_is_kept_is_a_core(
        self, rows: list[tuple[str, str | None, str, int]], per_user: int, per_item: int
    ) -> None:
        """In what is kept, every user has enough items and every item enough users."""
        pairs = set(
            uptakes(core(frame(rows), items_per_user=per_user, users_per_item=per_item))
            .select("user", "item")
            .rows()
        )
        for user, item in pairs:
            assert sum(u == user for u, _ in pairs) >= per_user
            assert sum(i == item for _, i in pairs) >= per_item

    def test_nothing_left_names_the_settings(self) -> None:
        """A core that is empty says which settings to lower."""
        with pytest.raises(EmptySplitError, match="lower `items_per_user` or `users_per_item`"):
            split(generated.events(), SplitConfig(items_per_user=1_000))
