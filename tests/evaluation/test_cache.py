from pathlib import Path

import grimp
import numpy as np
import pytest

import evaluation
from evaluation import datasets
from evaluation.cache import _DECIDES, Cache, code, key
from evaluation.config import ExperimentConfig
from evaluation.experiment import run
from tests.evaluation import generated

ABOUT = {"fitting_s": "1.5"}
CONFIG = ExperimentConfig.model_validate(
    {
        "dataset": {"kind": "given"},
        "split": {"kind": "per_user", "items_per_user": 2, "users_per_item": 2},
        "models": ["popularity", "item_knn", "bpr"],
        "bootstrap_samples": 100,
        "trials": 3,
        "seeds": 2,
    }
)
WORLD = datasets.Dataset("a generated world", generated.events())


def test_gives_back_what_was_stored(tmp_path: Path) -> None:
    """An array comes back as it was, with what was said of it; another key finds nothing."""
    cache, array = Cache(tmp_path / "new"), np.arange(6, dtype=np.int32).reshape(2, 3)
    cache.store("lists", "k1", array, ABOUT)
    found = cache.load("lists", "k1")
    assert found is not None
    assert np.array_equal(found[0], array)
    assert found[1] == ABOUT
    assert cache.load("lists", "k2") is None


def test_without_a_folder_nothing_is_kept() -> None:
    """A cache without a folder takes everything and finds nothing."""
    cache = Cache()
    cache.store("lists", "k", np.zeros(1), ABOUT)
    assert cache.load("lists", "k") is None
    assert cache.journal("search", "k") is None


@pytest.mark.parametrize("damage", [b"", b"torn", b"\xff" * 200])
def test_a_damaged_file_is_as_none(tmp_path: Path, damage: bytes) -> None:
    """A file that was cut short or overwritten is computed anew."""
    cache = Cache(tmp_path)
    cache.store("lists", "k", np.zeros(5), ABOUT)
    next(tmp_path.iterdir()).write_bytes(damage)
    assert cache.load("lists", "k") is None


def test_whatever_decides_what_is_kept_is_in_the_key() -> None:
    """Every module of this package that what is cached goes through, directly or not; measuring lists and reporting come after."""
    graph = grimp.build_graph("evaluation", include_external_packages=False)
    kept = {
        "evaluation.contestants",
        "evaluation.interactions",
        "evaluation.problem",
        "evaluation.tuning",
        "evaluation.world",
    }
    through = kept.union(*(graph.find_upstream_modules(each) for each in kept))
    here = Path(evaluation.__file__).parent
    in_key = {
        ".".join(("evaluation", *file.relative_to(here).with_suffix("").parts)).removesuffix(".__init__")
        for pattern in _DECIDES
        for file in here.glob(pattern)
    }
    decides_nothing = {"evaluation", "evaluation.cache", "evaluation.errors"}
    # What these read and say is in each key by its content: the events, the settings, the seed.
    by_content = {"catalogue", "columns", "config", "datasets", "preparation", "statistics"}
    assert through - in_key - decides_nothing <= {f"evaluation.{name}" for name in by_content}


def test_keys_are_of_the_content() -> None:
    """Equal contents have one key in whatever order they are told; other contents, and other code, have another."""
    assert key(a=1, b="x") == key(b="x", a=1)
    assert key(a=1, b="x") != key(a=2, b="x")
    assert len(code()) == 64


class TestExperiments:
    def test_nothing_is_computed_twice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second run finds everything, fits nothing, and gives the same figures."""
        first = run(CONFIG, given=WORLD, cache=tmp_path)
        monkeypatch.setattr("evaluation.examination.CONTESTANTS", {})  # whoever would fit now fails
        again = run(CONFIG, given=WORLD, cache=tmp_path)
        assert again.scores.equals(first.scores)
        assert again.differences.equals(first.differences)
        assert again.models.equals(first.models)

    def test_a_cache_changes_no_figure(self, tmp_path: Path) -> None:
        """With and without a cache the figures are the same."""
        assert run(CONFIG, given=WORLD, cache=tmp_path).scores.equals(run(CONFIG, given=WORLD).scores)

    def test_other_events_are_other_content(self, tmp_path: Path) -> None:
        """One event more, and nothing of the old is taken."""
        run(CONFIG, given=WORLD, cache=tmp_path)
        kept = len(list(tmp_path.iterdir()))
        run(CONFIG, given=datasets.Dataset("other", generated.events(1)), cache=tmp_path)
        assert len(list(tmp_path.iterdir())) == 2 * kept

    def test_people_s_own_data_stay_out_of_it(self, tmp_path: Path) -> None:
        """Of what people granted for `measure` nothing is kept, neither lists nor the journal of a search."""
        granted = datasets.Dataset("granted", generated.events(), personal=True)
        run(CONFIG, given=granted, cache=tmp_path)
        assert list(tmp_path.iterdir()) == []
