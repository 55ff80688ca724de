import json
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import expit

from consent.purposes import Purpose
from consent.signals import SIGNALS as OFFERED
from evaluation import datasets
from evaluation.baselines import Ease
from evaluation.config import ExperimentConfig
from evaluation.consent_value import OPT_IN, SIGNALS, UTILITY
from evaluation.datasets import SCHEMA
from evaluation.experiment import run
from evaluation.interactions import Interactions
from evaluation.report.panels import panels
from evaluation.result import Result
from evaluation.selection import bounds, no_assumption, propensities, related, weighted
from evaluation.shapley import shapley
from tests.evaluation import generated

CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 1},
        "models": ["ease"],
        "metrics": ["ndcg"],
        "bootstrap_samples": 200,
        "trials": 0,
        "consent_value": {"model": "ease", "opt_in": [0.3, 1.0], "draws": 2},
    }
)
NAMES = ["a", "b", "c", "d", "e"]


def world() -> datasets.Dataset:
    """People of two tastes, told by views and completions alone: what each one saves is saved by nobody else."""
    events = generated.events().with_columns(
        signal=pl.when(pl.col("signal") == "saves").then(pl.lit("views")).otherwise("signal")
    )
    random = np.random.default_rng(5)
    first = events["at"].min()
    assert isinstance(first, int)
    rows = [
        (user, f"noise-{number}-{random.integers(0, 100)}", "saves", first - 1 - place, None, None)
        for number, user in enumerate(events["user"].unique().sort())
        for place in range(3)
    ]
    noise = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return datasets.Dataset("known", pl.concat([events, noise]).unique().sort("at", "user", "item"))


@pytest.fixture(scope="module")
def result() -> Result:
    """What consent is worth in the known world."""
    return run(CONFIG, given=world())


def game(people: int = 3) -> Callable[[frozenset[str]], NDArray[np.float64]]:
    """`a` and `b` are alike and help each other, `c` adds 2 on its own, `d` and `e` nothing."""

    def value(shared: frozenset[str]) -> NDArray[np.float64]:
        both = 4.0 if {"a", "b"} <= shared else 0.0
        return np.full(people, 1 + both + 2 * ("c" in shared))

    return value


@pytest.mark.parametrize(("budget", "exact"), [(32, True), (31, False)])
def test_shares_are_what_players_add(budget: int, *, exact: bool) -> None:
    """Shares sum to the total, null players get 0, what is added alone is got whole; exactly, players alike get alike."""
    found = shapley(NAMES, game(), budget, 0)
    assert found.of.sum(axis=0) == pytest.approx(6)
    assert found.of[2] == pytest.approx(2)
    assert found.of[3:] == pytest.approx(0)
    assert (found.errors is None) == exact
    assert found.subsets <= budget
    if exact:
        assert found.of[0] == pytest.approx(2)
        assert found.of[1] == pytest.approx(2)


def test_sampled_shares_are_within_their_error() -> None:
    """Over 200 seeds, sampled shares have the exact mean, and their standard errors are as large as their spread."""
    names = [*NAMES, *"fghijk"]
    found = [shapley(names, game(1), 200, seed) for seed in range(200)]
    own = np.array([each.of[0, 0] for each in found])
    errors = np.array([each.errors[0] for each in found if each.errors is not None])
    assert len(errors) == 200
    assert abs(own.mean() - 2) < 4 * own.std() / sqrt(200)
    assert np.sqrt((errors**2).mean()) == pytest.approx(own.std(), rel=0.25)


def test_the_only_informative_signals_get_all(result: Result) -> None:
    """A signal of noise is worth about nothing in every way; the others share the whole; shares sum to what all give."""
    assert result.consent is not None
    found = result.consent.signals
    assert found.schema == pl.Schema(SIGNALS)
    noise = found.filter(signal="saves")
    assert noise["worth"].abs().max() < 0.05  # type: ignore[operator]  # a number, for there are rows
    shares = dict(found.filter(way="shapley").select("signal", "worth").rows())
    assert set(shares) == {"views", "completions", "saves"}
    assert min(shares["views"], shares["completions"]) > 0.05
    everything = result.scores.filter(model="ease", metric="ndcg")["value"].item()
    nothing = everything - sum(shares.values())
    assert 0 < nothing < 0.5 * everything
    assert ((found["low"] <= found["worth"]) & (found["worth"] <= found["high"])).all()


def test_the_curve_ends_where_all_share(result: Result) -> None:
    """When everyone opts in, everyone has what the model reached, there are no others, and nothing is left to bound."""
    assert result.consent is not None
    assert result.consent.opt_in.schema == pl.Schema(OPT_IN)
    everything = result.scores.filter(model="ease", metric="ndcg")["value"].item()
    for row in result.consent.opt_in.filter(share=1.0).to_dicts():
        for name in (
            "everyone",
            "consenters",
            "if_all",
            "weighted",
            "factor_low",
            "factor_high",
            "worst",
            "best",
        ):
            assert row[name] == pytest.approx(everything)
        assert row["others"] is None
    for row in result.consent.opt_in.filter(share=0.3).to_dicts():
        assert row["worst"] <= row["factor_low"] <= row["weighted"] <= row["factor_high"]
        assert row["everyone"] < everything


def test_sharing_less_gives_less(result: Result) -> None:
    """People of two tastes get more by sharing all than by sharing nothing, and the interval says so."""
    assert result.consent is not None
    found = result.consent.utility
    assert found.schema == pl.Schema(UTILITY)
    values = dict(found.select("shares", "value").rows())
    assert values["all"] >= values["one signal"] > values["nothing"]
    assert found.filter(shares="nothing")["less_low"].item() > 0
    assert found.filter(shares="all")["less_than_all"].item() == 0


def test_people_are_told_apart_by_what_they_granted() -> None:
    """Who granted all that may be measured and who granted some have rows of their own; few are too few; signals count grants."""
    events = world().events
    users = events["user"].unique().sort().to_list()
    offered = frozenset(each.id for each in OFFERED.values() if Purpose.MEASURE in each.purposes)
    partly = {user: offered - {"check_ins"} if place % 2 else offered for place, user in enumerate(users)}
    granting = replace(world(), grants=partly)
    found = run(CONFIG, given=granting).consent
    assert found is not None
    rows = {row["shares"]: row for row in found.utility.to_dicts()}
    everyone = run(CONFIG, given=world()).scores.filter(model="ease", metric="ndcg")["value"].item()
    assert (rows["granted all"]["people"], rows["granted some"]["people"]) == (30, 30)
    # The two halves are everyone, served as everyone is.
    assert (rows["granted all"]["value"] + rows["granted some"]["value"]) / 2 == pytest.approx(everyone)
    assert rows["granted some"]["less_than_all"] == pytest.approx(
        rows["granted all"]["value"] - rows["granted some"]["value"]
    )
    assert rows["granted some"]["less_low"] < 0 < rows["granted some"]["less_high"]
    assert set(found.signals["people"]) == {len(users)}
    few = replace(world(), grants=dict.fromkeys(users, partly[users[1]]) | {users[0]: offered})
    less = run(CONFIG, given=few)
    assert less.consent is not None
    row = less.consent.utility.filter(shares="granted all").to_dicts()[0]
    assert (row["people"], row["value"], row["less_than_all"]) == (1, None, None)
    assert "too few" in next(panel for panel in panels(less) if panel.name == "utility").rows[3]


def test_is_told(result: Result) -> None:
    """The findings are among the panels and in the JSON, and name nobody."""
    titles = [panel.name for panel in panels(result)]
    assert titles[-3:] == ["worth", "opt-in", "utility"]
    assert len(json.loads(result.to_json())["consent_value"]["opt_in"]) == 4
    assert "canary" not in result.to_json()


def test_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: Result) -> None:
    """An interrupted run fits only what it had not; a second one fits nothing, and says the same as without a cache."""
    fits, fit = [0], Ease.fit

    def counted(self: Ease, train: Interactions) -> Ease:
        fits[0] += 1
        if fits[0] == 8:
            raise KeyboardInterrupt
        return fit(self, train)

    monkeypatch.setattr(Ease, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, given=world(), cache=tmp_path)
    kept = len(list(tmp_path.iterdir()))
    assert kept > 5
    run(CONFIG, given=world(), cache=tmp_path)
    monkeypatch.setattr(Ease, "fit", None)  # whoever would fit now fails
    again = run(CONFIG, given=world(), cache=tmp_path)
    assert again.consent is not None
    assert result.consent is not None
    assert again.consent.to_dict() == result.consent.to_dict()


def test_people_s_own_data_stay_out_of_the_cache(tmp_path: Path) -> None:
    """Of what people granted for `measure` nothing is kept."""
    run(CONFIG, given=replace(world(), personal=True), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


class TestSelection:
    def test_chances_have_the_share_asked_for(self) -> None:
        """On average chances are the share, and they rise with engagement; at 1 everyone opts in."""
        engagement = np.random.default_rng(0).normal(size=500)
        chances = related(engagement, 0.2, 1.5)
        assert chances.mean() == pytest.approx(0.2)
        assert np.corrcoef(chances, engagement)[0, 1] > 0.5
        assert (related(engagement, 1.0, 1.5) == 1).all()

    def test_weighting_undoes_selection(self) -> None:
        """Where opting in depends on engagement alone, weighting finds everyone's mean and the plain mean does not."""
        random = np.random.default_rng(1)
        engagement = random.normal(size=20_000)
        values = expit(engagement) + random.normal(0, 0.1, 20_000)
        opted = random.random(20_000) < related(engagement, 0.3, 1.0)
        found = weighted(values[opted], propensities(engagement, opted)[opted])
        assert abs(found - values.mean()) < 0.01
        assert values[opted].mean() - values.mean() > 0.08

    def test_bounds_are_the_optimum(self) -> None:
        """Bounds equal those of a linear programme over all weights allowed; at factor 1 both are the weighted mean."""
        random = np.random.default_rng(2)
        values, chances = random.random(12), random.uniform(0.1, 0.9, 12)
        assert bounds(values, chances, 1.0) == pytest.approx([weighted(values, chances)] * 2)
        odds = 1 / chances - 1
        light, heavy = 1 + odds / 3, 1 + odds * 3
        # Charnes-Cooper: shares s = t w with sum 1 and t light <= s <= t heavy
        limits = np.block([[np.eye(12), -heavy[:, None]], [-np.eye(12), light[:, None]]])
        equal = np.append(np.ones(12), 0)[None, :]
        for sign, own in zip((1, -1), bounds(values, chances, 3.0), strict=True):
            best = linprog(sign * np.append(values, 0), limits, np.zeros(24), equal, [1.0])
            assert own == pytest.approx(sign * best.fun)

    def test_nothing_assumed(self) -> None:
        """Where nothing is assumed, those who opted out have all 0 or all 1."""
        assert no_assumption(0.4, 0.25) == pytest.approx((0.1, 0.85))
