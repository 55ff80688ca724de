"""Off-policy estimates against truths: enumerated, simulated, and of two public logs."""

from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from evaluation import policy
from evaluation.errors import DatasetError, EvaluationError
from evaluation.policy import Impressions, logs
from evaluation.policy.estimates import effective_sample_size
from evaluation.policy.impressions import of
from recommender.exploration import explore

DATA = Path(__file__).parents[3] / "shared" / "data"

Floats = NDArray[np.float64]

LOGGED = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
TARGET = np.array([[0.1, 0.0, 0.9], [0.5, 0.3, 0.2]])
REWARD = np.array([[1.0, 0.0, 2.0], [3.0, 0.5, -1.0]])
"""(contexts, actions) two policies and the rewards; both contexts are equally likely."""
TRUTH = float((TARGET * REWARD).sum(axis=1).mean())


def values(found: policy.PolicyValue) -> dict[str, float]:
    """The value of each estimator."""
    return dict(found.estimates.select("estimator", "value").iter_rows())


def expectation(size: int, predicted: Floats | None = None, clip: float | None = None) -> dict[str, float]:
    """The mean of each estimator over every log of `size` impressions, weighted by how likely it is.

    SNIPS counts as 0 where a log has no weight.
    """
    cells = list(product(range(2), range(3)))
    mean: dict[str, float] = {}
    for log in product(cells, repeat=size):
        x, a = np.array(log).T
        chance = float(np.prod(0.5 * LOGGED[x, a]))
        model = (None, None) if predicted is None else (predicted[x, a], (TARGET * predicted).sum(axis=1)[x])
        given = Impressions(LOGGED[x, a], REWARD[x, a], TARGET[x, a], *model)
        for name, value in values(policy.estimate(given, clip=clip, samples=1)).items():
            mean[name] = mean.get(name, 0.0) + chance * (value or 0.0)
    return mean


class TestEnumeratedTruth:
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_ips_has_no_bias(self, size: int) -> None:
        """Over all logs that can be, IPS is the true value on average, and the logged mean that of the log's policy."""
        found = expectation(size)
        assert found["ips"] == pytest.approx(TRUTH, abs=1e-12)
        assert found["logged"] == pytest.approx(float((LOGGED * REWARD).sum(axis=1).mean()), abs=1e-12)
        assert abs(found["logged"] - TRUTH) > 0.1

    def test_dr_has_no_bias_whatever_the_model(self) -> None:
        """A model of rewards that is right, wrong, or nonsense leaves DR the true value on average."""
        for predicted in (REWARD, REWARD + 1, np.random.default_rng(0).normal(size=REWARD.shape)):
            assert expectation(2, predicted)["dr"] == pytest.approx(TRUTH, abs=1e-12)

    def test_clipping_is_biased_as_computed(self) -> None:
        """Clipped IPS is the value with weights cut, and clipped DR is without bias where the model is right."""
        found = expectation(2, REWARD, clip=1.5)
        cut = float((LOGGED * np.minimum(TARGET / LOGGED, 1.5) * REWARD).sum(axis=1).mean())
        assert found["clipped_ips"] == pytest.approx(cut, abs=1e-12)
        assert abs(cut - TRUTH) > 0.1
        assert found["clipped_dr"] == pytest.approx(TRUTH, abs=1e-12)

    def test_what_was_never_shown_is_missing_from_the_mean_weight(self) -> None:
        """A policy that puts 40 % on what the log never shows has a mean weight of 0.6, and is told so."""
        given = Impressions(np.full(1000, 0.5), np.ones(1000), np.tile([0.2, 0.4], 500))
        found = policy.estimate(given, samples=200)
        assert found.overlap.mean_weight == pytest.approx(0.6)
        assert any(
            "About 40% of what the policy would show was never left to chance" in n for n in found.notes
        )


class TestEstimators:
    def test_by_hand(self) -> None:
        """Three impressions with weights 2, 0.5 and 0."""
        given = Impressions(np.array([0.5, 0.8, 0.4]), np.array([1.0, 4.0, 9.0]), np.array([1.0, 0.4, 0.0]))
        found = policy.estimate(given, clip=1.0, samples=10)
        assert values(found) == pytest.approx(
            {"logged": 14 / 3, "ips": 4 / 3, "clipped_ips": 1.0, "snips": 1.6}
        )
        assert found.overlap.unused_share == pytest.approx(1 / 3)
        assert found.overlap.mean_weight == pytest.approx(2.5 / 3)
        assert found.overlap.effective_sample_size == pytest.approx(2.5**2 / 4.25)
        assert found.overlap.largest_weight == 2

    def test_the_logs_own_policy_is_worth_its_mean(self) -> None:
        """With the target's probabilities those of the log, every estimate is the mean, and no difference is found."""
        random = np.random.default_rng(3)
        p, r = random.uniform(0.1, 1, 50), random.normal(size=50)
        found = policy.estimate(Impressions(p, r, p), samples=50)
        assert found.estimates["value"].to_list() == pytest.approx([r.mean()] * 4)
        assert set(found.estimates["verdict"][1:]) == {"no clear difference"}
        assert found.overlap.effective_sample_size == pytest.approx(50)

    def test_snips_follows_an_affine_change_of_rewards(self) -> None:
        """Rewards of 2 r + 5 make SNIPS 2 SNIPS + 5; IPS does not follow the 5."""
        random = np.random.default_rng(4)
        p, t, r = random.uniform(0.1, 1, 40), random.uniform(0, 1, 40), random.normal(size=40)
        before, after = (
            values(policy.estimate(Impressions(p, each, t), samples=2)) for each in (r, 2 * r + 5)
        )
        assert after["snips"] == pytest.approx(2 * before["snips"] + 5)
        assert after["ips"] != pytest.approx(2 * before["ips"] + 5)

    def test_a_policy_that_shows_nothing_of_the_log(self) -> None:
        """SNIPS is not defined, the effective sample size is 0, and a note says that nothing can be said."""
        found = policy.estimate(Impressions(np.full(5, 0.5), np.ones(5), np.zeros(5)), samples=20)
        row = found.estimates.filter(estimator="snips").row(0, named=True)
        assert {value for name, value in row.items() if name != "estimator"} == {None}
        assert found.overlap.effective_sample_size == 0
        assert found.notes == (
            "The policy would have shown nothing that was shown: these impressions say nothing about it.",
        )

    def test_one_person_has_no_interval(self) -> None:
        """All impressions of one person give values and no intervals nor words: another might differ by anything."""
        given = Impressions(
            np.full(50, 0.5), np.ones(50), np.tile([0.0, 1.0], 25), person=np.zeros(50, dtype=np.int64)
        )
        found = policy.estimate(given, samples=20)
        assert found.estimates["value"].null_count() == 0
        for column in ("low", "high", "difference_low", "difference_high", "verdict"):
            assert found.estimates[column].null_count() == len(found.estimates)
        assert "one person's" in found.notes[0]

    def test_heavy_weights_are_told(self) -> None:
        """One impression that weighs as much as all others makes the effective sample small, and is said to."""
        p = np.full(1000, 0.9)
        p[0] = 0.0009
        found = policy.estimate(Impressions(p, np.ones(1000), np.full(1000, 0.9)), samples=20)
        assert found.overlap.effective_sample_size == pytest.approx(4, rel=0.01)
        assert any("The 1,000 impressions say as much as 4 of the policy's own" in n for n in found.notes)

    def test_few_rewards_are_told(self) -> None:
        """With one rewarded impression of 200, it is said that intervals are likely too narrow."""
        reward = np.zeros(200)
        reward[0] = 1
        found = policy.estimate(Impressions(np.full(200, 0.5), reward, np.full(200, 0.5)), samples=20)
        assert any("Only 1 impressions" in note for note in found.notes)

    def test_wrong_propensities_are_told(self) -> None:
        """Weights above 1 on average by more than chance mean that a probability is wrong."""
        given = Impressions(np.full(100, 0.2), np.ones(100), np.tile([0.3, 0.5], 50))
        assert any("are wrong" in note for note in policy.estimate(given, samples=50).notes)

    def test_effective_sample_size_of_tiny_and_huge_weights(self) -> None:
        """Squares that cannot be told from zero, or from infinity, change nothing."""
        for scale in (1e-200, 1.0, 1e200):
            assert effective_sample_size(np.array([1.0, 1.0, 2.0]) * scale) == pytest.approx(16 / 6)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 200 simulated logs of 400 people, about 95 % of every unclipped estimator's 95 % intervals hold the truth."""
    random = np.random.default_rng(7)
    logged = np.array([0.5, 0.3, 0.2])
    target = np.array([0.2, 0.2, 0.6])
    success = np.array([0.2, 0.5, 0.7])
    model = np.array([0.3, 0.4, 0.5])
    truth = float(target @ success)
    held = dict.fromkeys(("ips", "snips", "dr"), 0)
    width = dict.fromkeys(held, 0.0)
    for study in range(200):
        a = random.choice(3, size=400, p=logged)
        r = (random.random(400) < success[a]).astype(float)
        given = Impressions(logged[a], r, target[a], model[a], np.full(400, float(target @ model)))
        found = policy.estimate(given, samples=300, seed=study)
        for name in held:
            row = found.estimates.filter(estimator=name).row(0, named=True)
            held[name] += row["low"] <= truth <= row["high"]
            width[name] += row["high"] - row["low"]
    assert all(0.90 <= count / 200 <= 0.99 for count in held.values()), held
    assert width["dr"] < width["ips"]


def test_people_are_resampled_whole() -> None:
    """Where each person's twenty impressions come out alike, naming people makes the interval as wide as it should be."""
    random = np.random.default_rng(8)
    people = np.repeat(np.arange(30), 20)
    r = random.normal(size=30)[people]
    p = np.full(600, 0.5)
    alone = policy.estimate(Impressions(p, r, p), samples=500).estimates.row(0, named=True)
    whole = policy.estimate(Impressions(p, r, p, person=people), samples=500).estimates.row(0, named=True)
    assert whole["value"] == pytest.approx(alone["value"])
    ratio = (whole["high"] - whole["low"]) / (alone["high"] - alone["low"])
    assert 3.5 <= ratio <= 5.5  # the square root of 20 is 4.5


class TestBadInput:
    @pytest.mark.parametrize(
        ("field", "row", "cell", "message"),
        [
            (
                "propensity",
                1,
                0.0,
                "column 'propensity', row 2: 0 is not a probability above 0 and at most 1",
            ),
            ("propensity", 2, 1.01, "column 'propensity', row 3: 1.01 is not a probability"),
            ("propensity", 0, -0.5, "column 'propensity', row 1: -0.5 is not a probability"),
            ("propensity", 0, np.nan, "column 'propensity', row 1: nan is not a finite number"),
            ("reward", 2, np.nan, "column 'reward', row 3: nan is not a finite number"),
            ("reward", 0, np.inf, "column 'reward', row 1: inf is not a finite number"),
            ("target", 1, 1.5, "column 'target', row 2: 1.5 is not a probability from 0 to 1"),
            ("target", 1, -0.1, "column 'target', row 2: -0.1 is not a probability from 0 to 1"),
        ],
    )
    def test_a_wrong_number_is_named(self, field: str, row: int, cell: float, message: str) -> None:
        """A number that cannot be is refused with its field and row."""
        given = {name: np.full(3, 0.5) for name in ("propensity", "reward", "target")}
        given[field][row] = cell
        with pytest.raises(DatasetError) as refused:
            Impressions(given["propensity"], given["reward"], given["target"])
        assert message in str(refused.value)

    def test_lengths_that_differ(self) -> None:
        """The field that is longer or shorter is named, with the first row that one of them lacks."""
        half = np.full(3, 0.5)
        with pytest.raises(
            DatasetError, match=r"column 'reward', row 3: there are 2 values of 'reward' and 3"
        ):
            Impressions(half, half[:2], half)
        with pytest.raises(DatasetError, match=r"column 'person', row 4: there are 4"):
            Impressions(half, half, half, person=np.arange(4))

    def test_nothing(self) -> None:
        """No impressions are refused, as arrays and as a frame."""
        with pytest.raises(DatasetError, match="there are no impressions"):
            Impressions(np.array([]), np.array([]), np.array([]))
        with pytest.raises(DatasetError, match="there are no impressions"):
            of(pl.DataFrame(schema=dict.fromkeys(("propensity", "reward", "target"), pl.Float64)))

    def test_words_and_tables_for_numbers(self) -> None:
        """What is not a number for each impression is refused by its field."""
        half = np.full(3, 0.5)
        with pytest.raises(DatasetError, match="column 'reward': is not all numbers"):
            Impressions(half, np.array(["a", "b", "c"]), half)
        with pytest.raises(DatasetError, match="column 'target': is not one number for each"):
            Impressions(half, half, half[:, None])

    def test_half_a_model(self) -> None:
        """Predictions of what was shown without those of what would have been are refused, and the other way round."""
        half = np.full(3, 0.5)
        with pytest.raises(DatasetError, match="column 'expected': is missing"):
            Impressions(half, half, half, predicted=half)
        with pytest.raises(DatasetError, match="column 'predicted': is missing"):
            Impressions(half, half, half, expected=half)

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"clip": 0}, "clip: 0"),
            ({"clip": np.nan}, "clip: nan"),
            ({"confidence": 1.0}, "confidence: 1.0"),
            ({"samples": 0}, "samples: 0"),
        ],
    )
    def test_arguments_out_of_bounds(self, said: dict[str, float], message: str) -> None:
        """A clip, confidence or number of samples that cannot be is refused by name."""
        half = np.full(3, 0.5)
        with pytest.raises(EvaluationError, match=message):
            policy.estimate(Impressions(half, half, half), **said)  # type: ignore[arg-type]  # some are wrong on purpose

    def test_files(self, tmp_path: Path) -> None:
        """A file's wrong cell, empty cell and missing column are named by file, column and row; so is a renamed column."""
        path = tmp_path / "shown.csv"
        for content, message in [
            (
                "propensity,reward,target\n0.5,1,1\n0.5,much,1\n",
                "column 'reward', row 2: 'much' is not a number",
            ),
            ("propensity,reward,target\n0.5,1,1\n,1,1\n", "column 'propensity', row 2: is empty"),
            ("propensity,reward\n0.5,1\n", "column 'target': is missing"),
            (
                "propensity,reward,target,person\n0.5,1,1,\n",
                "column 'person', row 1: is empty, and should be an id",
            ),
            ("propensity,reward,target\n", "there are no impressions"),
            ("", "is empty (0 bytes)"),
        ]:
            path.write_text(content, encoding="utf-8")
            with pytest.raises(DatasetError) as refused:
                policy.read(path)
            assert str(path) in str(refused.value)
            assert message in str(refused.value)
        path.write_text("chance,reward,target\n2,1,1\n", encoding="utf-8")
        with pytest.raises(DatasetError, match="column 'chance', row 1: 2 is not a probability"):
            policy.read(path, policy.Columns(propensity="chance"))

    def test_a_parquet_file_gives_what_its_csv_gives(self, tmp_path: Path) -> None:
        """Both formats are read to the same impressions, people and models of rewards included."""
        frame = pl.DataFrame(
            {
                "propensity": [0.5, 0.25],
                "reward": [1, 0],
                "target": [1.0, 0.5],
                "person": ["b", "a"],
                "predicted": [0.5, 0.5],
                "expected": [0.25, 0.75],
            }
        )
        frame.write_csv(tmp_path / "shown.csv")
        frame.write_parquet(tmp_path / "shown.parquet")
        found = [
            policy.estimate(policy.read(tmp_path / name), samples=20)
            for name in ("shown.csv", "shown.parquet")
        ]
        assert found[0].estimates.equals(found[1].estimates)
        assert found[0].estimates["estimator"].to_list() == list(policy.ESTIMATORS)
        assert found[0].overlap.units == 2


@pytest.mark.skipif(
    not (DATA / "heartsteps-v1").is_dir(), reason="needs HeartSteps V1 in ../shared/data/heartsteps-v1"
)
class TestHeartSteps:
    def test_what_is_read(self) -> None:
        """The 6,590 decisions at which one of 37 people was available; as often sent as chance would, by its design."""
        found = logs.heartsteps(DATA / "heartsteps-v1")
        assert (len(found), found["person"].n_unique(), found["sent"].sum()) == (6590, 37, 3915)
        deviation = np.sqrt(logs.SENT * (1 - logs.SENT) / len(found))
        assert abs(float(found["sent"].mean()) - logs.SENT) < 3 * deviation  # type: ignore[arg-type]  # of a Boolean column

    @pytest.mark.parametrize("sent", [True, False])
    def test_always_and_never(self, sent: bool) -> None:
        """With one propensity for each action, SNIPS is the mean of that action's outcomes; IPS agrees within its interval."""
        found = logs.heartsteps(DATA / "heartsteps-v1").with_columns(
            target=(pl.col("sent") == sent).cast(pl.Float64)
        )
        value = policy.estimate(of(found.drop("sent", "steps"), source="HeartSteps"))
        mean = found.filter(sent=sent)["reward"].mean()
        assert values(value)["snips"] == pytest.approx(mean)
        ips = value.estimates.filter(estimator="ips").row(0, named=True)
        assert ips["low"] <= mean <= ips["high"]
        assert value.overlap.units == 37
        low, high = value.overlap.mean_weight_low, value.overlap.mean_weight_high
        assert low is not None
        assert high is not None
        assert low <= 1 <= high
        assert value.notes == ()


@pytest.mark.skipif(
    not (DATA / "open-bandit-sample").is_dir(),
    reason="needs the Open Bandit sample in ../shared/data/open-bandit-sample",
)
class TestOpenBandit:
    def test_thompson_sampling_from_random_impressions(self) -> None:
        """What 10,000 random impressions say Bernoulli Thompson sampling is worth holds what its own log came to."""
        shown, other = (logs.open_bandit(DATA / "open-bandit-sample", name) for name in ("random", "bts"))
        assert (shown["reward"].sum(), other["reward"].sum()) == (46, 69)
        assert shown["propensity"].to_numpy() == pytest.approx(1 / 34)
        found = policy.estimate(of(shown.with_columns(target=logs.shown_as_often(shown, other))))
        for name in ("ips", "snips"):
            row = found.estimates.filter(estimator=name).row(0, named=True)
            assert row["low"] <= other["reward"].mean() <= row["high"]
        assert 2000 < found.overlap.effective_sample_size < 4000

    def test_random_from_thompson_sampling(self) -> None:
        """The other way round, single impressions weigh up to 200: an effective sample of a sixteenth, as it is said to be."""
        shown, other = (logs.open_bandit(DATA / "open-bandit-sample", name) for name in ("bts", "random"))
        found = policy.estimate(of(shown.with_columns(target=logs.shown_as_often(shown, other))))
        assert found.overlap.largest_weight > 100
        assert found.overlap.effective_sample_size < 0.1 * len(shown)


def test_a_wrong_log_is_named(tmp_path: Path) -> None:
    """A HeartSteps file with another word than TRUE or FALSE, or without decisions, is refused by place."""
    path = tmp_path / "suggestions.csv.gz"
    pl.DataFrame(
        {
            "user.index": [1, 1],
            "avail": ["TRUE", "MAYBE"],
            "send": ["TRUE", "FALSE"],
            "jbsteps30.zero": [1, 2],
        }
    ).write_csv(path, compression="gzip")
    with pytest.raises(DatasetError, match="column 'avail', row 2: 'MAYBE' is not TRUE or FALSE"):
        logs.heartsteps(tmp_path)
    with pytest.raises(DatasetError, match="there is no such file"):
        logs.open_bandit(tmp_path, "random")


def explored_lists(chance: float, lists: int, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Lists of three of five rows as the API leaves them to chance: each one's reward, propensities and what was new."""
    random = np.random.default_rng(seed)
    head, others = np.array([0, 1, 2]), np.array([3, 4])
    worth = np.array([1.0, 0.5, 0.2, 0.9, 2.0])
    done = [explore(head, others, chance, random) for _ in range(lists)]
    reward = np.array([worth[each.rows] @ [1.0, 0.5, 0.25] for each in done])
    return reward, np.stack([each.propensities for each in done]), np.stack([each.new for each in done])


def test_whole_lists_under_another_explore() -> None:
    """From lists with `explore` 0.3, the products of propensities give what lists with 0.1 came to, as the page says."""
    reward, propensity, new = explored_lists(0.3, 4000, 1)
    other = np.where(new, propensity * 0.1 / 0.3, np.where(propensity == 1, 1.0, propensity * 0.9 / 0.7))
    given = Impressions(propensity.prod(axis=1), reward, other.prod(axis=1))
    found = policy.estimate(given, samples=300)
    truth = float(explored_lists(0.1, 20_000, 2)[0].mean())
    rows = {row["estimator"]: row for row in found.estimates.iter_rows(named=True)}
    for name in ("ips", "snips", "clipped_ips"):
        assert rows[name]["low"] <= truth <= rows[name]["high"]
    assert not rows["logged"]["low"] <= truth <= rows["logged"]["high"]
    assert found.notes == ()
