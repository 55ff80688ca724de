from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from evaluation.datasets import SCHEMA
from evaluation.errors import EmptySplitError, LeakError
from evaluation.splits import (
    RULES,
    AnyRule,
    ColdItems,
    ColdUsers,
    GlobalTime,
    LeaveLast,
    PerUserTime,
    Promise,
    RandomPairs,
    Split,
    SplitRule,
    UserFolds,
    audit,
    core,
    uptakes,
)
from tests.evaluation import generated

Rows = Sequence[tuple[str, str | None, str, int]]

ROW = st.tuples(
    st.sampled_from("abcdefgh"),
    st.sampled_from(["w", "x", "y", "z", None]),
    st.sampled_from(["views", "saves", "impressions"]),
    st.integers(0, 12),
)


def frame(rows: Rows) -> pl.DataFrame:
    """Events of rows of user, item, signal and time."""
    return pl.DataFrame([(*row, None, None) for row in rows], schema=SCHEMA, orient="row")


def views(user: str, *items: str, start: int = 0) -> list[tuple[str, str | None, str, int]]:
    """One view after another."""
    return [(user, item, "views", start + place) for place, item in enumerate(items)]


def loose(rule: type[SplitRule], **fields: Any) -> SplitRule:
    """A rule without a core filter."""
    return rule(items_per_user=1, users_per_item=1, **fields)


def only(rule: type[SplitRule], rows: Rows, **fields: Any) -> Split:
    """The first division of events by a rule without a core filter."""
    return next(loose(rule, **fields).folds(frame(rows)))


def pairs(events: pl.DataFrame) -> set[tuple[str, str]]:
    """Users with what they took up."""
    return set(uptakes(events).select("user", "item").rows())


@pytest.mark.parametrize("rule", RULES)
class TestEverySplit:
    """What whoever divides events has to keep."""

    EVENTS = generated.events()

    def divided(self, rule: type[SplitRule], seed: int = 0) -> list[Split]:
        return list(loose(rule).folds(self.EVENTS, seed))

    def test_a_configuration_can_name_it(self, rule: type[SplitRule]) -> None:
        """Its kind stands for it in a configuration, and it says what it leaves open."""
        made: SplitRule = TypeAdapter(AnyRule).validate_python({"kind": rule.model_fields["kind"].default})
        assert made == rule()
        assert len(rule.CAVEAT) > 30

    def test_keeps_its_promise(self, rule: type[SplitRule]) -> None:
        """No pair is known and asked for; what should lie before the test does; what should be new is."""
        found = self.divided(rule)
        assert len(found) == loose(rule).number_of_folds
        for split in found:
            tested = pairs(split.test)
            assert tested
            assert len(tested) == len(split.test)
            assert not tested & (pairs(split.train) | pairs(split.known))
            begins = dict(split.test.group_by("user").agg(pl.col("at").min()).rows())
            if rule.PROMISE.before == "everyone":
                assert max(split.train["at"]) < min(begins.values())
            if rule.PROMISE.before != "nothing":
                own = split.known.select("user", "at").rows()
                assert all(at < begins[user] for user, at in own if user in begins)
            if rule.PROMISE.new_users:
                assert not set(split.train["user"]) & set(begins)
            if rule.PROMISE.new_items:
                assert not set(split.train["item"]) & set(split.test["item"])

    def test_times_stay_whole(self, rule: type[SplitRule]) -> None:
        """Every event of a part is an event that went in, to the microsecond."""
        events = set(self.EVENTS.rows())
        for split in self.divided(rule):
            for part in (split.train, split.known, split.test):
                assert part.schema == self.EVENTS.schema
                assert set(part.rows()) <= events

    def test_the_order_of_rows_changes_nothing(self, rule: type[SplitRule]) -> None:
        """Turned around, the same events are divided in the same way."""
        turned = loose(rule).folds(self.EVENTS.reverse())
        for split, other in zip(self.divided(rule), turned, strict=True):
            assert pairs(split.test) == pairs(other.test)
            assert sorted(split.train.rows(), key=str) == sorted(other.train.rows(), key=str)

    def test_the_seed_decides_what_is_drawn(self, rule: type[SplitRule]) -> None:
        """The same seed divides alike; another one differs only where a rule draws."""
        first, again, other = ([pairs(s.test) for s in self.divided(rule, seed)] for seed in (0, 0, 1))
        assert first == again
        assert (first == other) == (rule not in {RandomPairs, UserFolds})

    def test_validation_is_cut_from_train_by_the_same_rule(self, rule: type[SplitRule]) -> None:
        """All that choosing sees is in train, and it keeps the same promise."""
        split = self.divided(rule)[0]
        inner = loose(rule).validation(split.train)
        assert inner.promise == rule.PROMISE
        known = set(split.train.rows())
        assert set(inner.train.rows()) | set(inner.known.rows()) | set(inner.test.rows()) <= known

    def test_planted_leaks_are_found(self, rule: type[SplitRule]) -> None:
        """A tested pair planted into train fails the run with an example that names no id of a person."""
        split = self.divided(rule)[0]
        planted = split.test.head(1).with_columns(at=pl.lit(0, pl.Int64))
        train = pl.concat([split.train, planted])
        known = train if split.known is split.train else split.known
        with pytest.raises(LeakError, match=f"with item {planted['item'][0]}") as caught:
            audit(Split(train, known, split.test, split.promise))
        assert "canary" not in str(caught.value)

    def test_too_little_is_refused(self, rule: type[SplitRule]) -> None:
        """Two events of one person at one moment cannot be divided, and the message says what is missing."""
        rows = [("a", "x", "views", 1), ("a", "y", "views", 1)]
        if rule is RandomPairs:
            rows = rows[:1]
        with pytest.raises(
            EmptySplitError, match=r"has no events; there is too little|5 folds need 5 people"
        ):
            list(loose(rule).folds(frame(rows)))

    def test_a_core_that_is_empty_names_the_settings(self, rule: type[SplitRule]) -> None:
        """A filter that leaves nothing says which settings to lower."""
        with pytest.raises(EmptySplitError, match="lower `items_per_user` or `users_per_item`"):
            list(rule(items_per_user=1_000).folds(self.EVENTS))

    @settings(max_examples=60)
    @given(rows=st.lists(ROW, min_size=1, max_size=60), seed=st.integers(0, 3))
    def test_whatever_the_events(self, rule: type[SplitRule], rows: Rows, seed: int) -> None:
        """Any events are divided, and the audit passes, or they are refused in words."""
        try:
            found = list(loose(rule).folds(frame(rows), seed))
        except EmptySplitError:
            return
        for split in found:
            assert not pairs(split.test) & (pairs(split.train) | pairs(split.known))
            assert pairs(split.test) <= pairs(frame(rows))


class TestTemporal:
    def test_per_user_takes_each_ones_last_fifth(self) -> None:
        """Of five uptakes of a person at five moments, the last is the test."""
        found = only(PerUserTime, views("a", *"vwxyz") + views("b", *"vwxyz", start=100))
        assert found.test.select("user", "item").rows() == [("a", "z"), ("b", "z")]
        assert len(found.train) == 8
        assert found.known is found.train

    def test_global_cuts_everyone_at_one_moment(self) -> None:
        """The last fifth of all uptakes is the test, whoever they belong to."""
        found = only(GlobalTime, views("a", *"vwxyz") + views("b", *"vwxyz", start=100))
        assert found.test.select("user", "item").rows() == [("b", "y"), ("b", "z")]

    def test_leave_last_takes_equally_many(self) -> None:
        """Of three and of five uptakes, the last two are the test."""
        found = only(LeaveLast, views("a", *"xyz") + views("b", *"vwxyz"), n=2)
        assert sorted(pairs(found.test)) == [("a", "y"), ("a", "z"), ("b", "y"), ("b", "z")]

    def test_leave_last_leaves_something_to_learn_from(self) -> None:
        """Whoever has no more than n uptakes keeps their first moment."""
        found = only(LeaveLast, views("a", *"xyz"), n=9)
        assert found.train["item"].to_list() == ["x"]

    def test_events_of_one_moment_stay_together(self) -> None:
        """A moment that spans the cut goes to the test as a whole."""
        times = [1, 2, 3, 4, 5, 5, 5, 5]
        rows = [("a", item, "views", at) for item, at in zip("stuvwxyz", times, strict=True)]
        assert only(PerUserTime, rows, test_share=0.25).train["item"].to_list() == list("stuv")
        assert only(LeaveLast, rows, n=1).train["item"].to_list() == list("stuv")

    def test_all_at_the_first_moment_stays_in_train(self) -> None:
        """Someone whose cut would leave nothing to learn from is cut at their next moment, or not at all."""
        rows = [("a", item, "views", 1) for item in "vwxy"] + [("a", "z", "views", 2)]
        rows += [("b", item, "views", 7) for item in "vwxyz"]
        found = only(PerUserTime, rows, test_share=0.5)
        assert found.test.select("user", "item").rows() == [("a", "z")]
        assert found.train.filter(user="b").height == 5

    def test_repeats_of_known_items_are_neither(self) -> None:
        """Using a known item again after the cut is nothing to find, and nothing to learn from."""
        rows = [*views("a", *"vwxy"), ("a", "v", "saves", 4), ("a", "z", "views", 5)]
        found = only(PerUserTime, rows)
        assert found.test["item"].to_list() == ["z"]
        assert found.train["item"].to_list() == list("vwxyv")


class TestRandom:
    def test_all_events_of_a_pair_are_on_one_side(self) -> None:
        """Whoever saved what they viewed has both events in train, or neither."""
        rows = [*views("a", *"uvwxy"), *[("a", item, "saves", 50) for item in "uvwxy"]]
        found = only(RandomPairs, rows)
        assert len(found.test) == 1
        assert len(found.train) == 8

    def test_everyone_keeps_something(self) -> None:
        """A large share never takes a person's last uptake away from train."""
        found = only(RandomPairs, views("a", *"xy") + views("b", "x"), test_share=0.99)
        assert {user for user, _ in pairs(found.train)} == {"a", "b"}

    def test_says_that_it_leaks(self) -> None:
        """Its label says in capitals that time leaks."""
        assert "LEAKS TIME" in RandomPairs.CAVEAT


class TestCold:
    def test_newcomers_are_tested_on_what_others_did_before(self) -> None:
        """The last fifth of the people to arrive is tested, with the first half of their own uptakes known."""
        rows = [row for place, user in enumerate("abcde") for row in views(user, *"wxyz", start=10 * place)]
        found = only(ColdUsers, rows)
        assert set(found.train["user"]) == set("abcd")
        assert pairs(found.known) == {("e", "w"), ("e", "x")}
        assert pairs(found.test) == {("e", "y"), ("e", "z")}

    def test_a_newcomers_early_search_is_not_learned_from(self) -> None:
        """Events before a newcomer's first uptake, such as searches, are theirs and not train's."""
        rows = [row for place, user in enumerate("abcde") for row in views(user, *"wxyz", start=10 * place)]
        found = only(ColdUsers, [*rows, ("e", None, "searches", 0)])
        assert "e" not in set(found.train["user"])
        assert "searches" in set(found.known["signal"])

    def test_new_items_are_asked_for(self) -> None:
        """Items that first appear after the cut are the test, of those who did something before it."""
        rows = views("a", *"vwxy") + views("b", *"wxyv", start=1)
        rows += [("a", "z", "views", 50), ("b", "z", "views", 51)]
        assert pairs(only(ColdItems, rows).test) == {("a", "z"), ("b", "z")}


def test_folds_test_everyone_once() -> None:
    """Over the folds each person is tested exactly once, by a train part without them."""
    rows = [row for user in "abcdefghij" for row in views(user, *"vwxyz")]
    tested = [user for split in loose(UserFolds, k=3).folds(frame(rows)) for user in split.test["user"]]
    assert sorted(tested) == list("abcdefghij")


class TestAudit:
    def clean(self, rule: type[SplitRule] = PerUserTime) -> Split:
        return only(rule, views("a", *"vwxyz") + views("b", *"vwxyz", start=100))

    def planted(self, good: Split, events: pl.DataFrame) -> Split:
        train = pl.concat([good.train, events])
        return Split(train, train, good.test, good.promise)

    @pytest.mark.parametrize("rule", [PerUserTime, GlobalTime])
    def test_catches_training_after_the_test_begins(self, rule: type[SplitRule]) -> None:
        """An event of a tested person at the very moment when the test begins is found and shown."""
        good = self.clean(rule)
        late = good.test.head(1).with_columns(item=pl.lit("other"))
        with pytest.raises(LeakError, match=r"1 events in .* are not before the test .* user number \d has"):
            audit(self.planted(good, late))

    def test_in_a_global_split_nobody_may_be_late(self) -> None:
        """A late event of someone who is not tested leaks in a global split, not in a per-user one."""
        late = frame([("c", "v", "views", 10_000)])
        with pytest.raises(LeakError):
            audit(self.planted(self.clean(GlobalTime), late))
        audit(self.planted(self.clean(), late))

    @pytest.mark.parametrize(
        ("promise", "message"),
        [
            (Promise(before="own", new_users=True), "2 tested users should be new .* user number 0"),
            (Promise(before="own", new_items=True), "1 tested items should be new .* item z"),
        ],
    )
    def test_catches_what_should_be_new(self, promise: Promise, message: str) -> None:
        """A tested person or item that was learned from, where they should be new, is found and shown."""
        good = self.clean()
        old = good.train if promise.new_users else pl.concat([good.train, frame([("c", "z", "views", 0)])])
        with pytest.raises(LeakError, match=message):
            audit(Split(old, old, good.test, promise))

    def test_catches_a_pair_that_is_known(self) -> None:
        """What is asked for may not be known when the person asks, even if it was not learned from."""
        good = only(UserFolds, [row for user in "abcdef" for row in views(user, *"vwxyz")], k=2)
        known = pl.concat([good.known, good.test.head(1).with_columns(at=pl.lit(0, pl.Int64))])
        with pytest.raises(LeakError, match="1 pairs are in known and in test"):
            audit(Split(good.train, known, good.test, good.promise))


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

    @given(st.lists(ROW, max_size=40), st.integers(1, 3), st.integers(1, 3))
    def test_what_is_kept_is_a_core(self, rows: Rows, per_user: int, per_item: int) -> None:
        """In what is kept, every user has enough items and every item enough users."""
        kept = pairs(core(frame(rows), items_per_user=per_user, users_per_item=per_item))
        for user, item in kept:
            assert sum(u == user for u, _ in kept) >= per_user
            assert sum(i == item for _, i in kept) >= per_item
