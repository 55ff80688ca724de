import hashlib
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from recommender.release import TrainingConfig
from recommender.ridge import ridge
from recommender.start import closed_form_start

ROOT = Path(__file__).parents[2]


def problem(
    rows: int, features: int, each: int, targets: int, seed: int = 0
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Rows with up to `each` features, parts of one, as resources have topics; those of low numbers are frequent."""
    random = np.random.default_rng(seed)
    place = (features * random.random(rows * each) ** 3).astype(np.int64)
    row = np.repeat(np.arange(rows), each)
    matrix = sparse.csr_array((np.full(len(row), 1.0 / each), (row, place)), shape=(rows, features))
    return matrix, random.normal(size=(rows, targets))


def dense(features: sparse.csr_array, targets: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """The solution by the whole matrix."""
    whole = features.toarray()
    return np.linalg.solve(whole.T @ whole + penalty * np.eye(whole.shape[1]), whole.T @ targets)


@given(
    st.integers(1, 200), st.integers(1, 40), st.integers(1, 5), st.sampled_from([0.01, 1.0, 10.0]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_it_solves_the_ridge_equations(
    rows: int, features: int, each: int, penalty: float, seed: int
) -> None:
    """As the dense solution does, to 1e-8 of its length, column by column, whatever the columns' own lengths."""
    matrix, targets = problem(rows, features, each, 3, seed)
    targets *= [1.0, 1e-9, 1e9]
    expected = dense(matrix, targets, penalty)
    error = np.linalg.norm(ridge(matrix, targets, penalty) - expected, axis=0)
    assert (error <= 1e-8 * np.linalg.norm(expected, axis=0)).all()


def test_features_that_are_always_together_share_what_there_is() -> None:
    """Two that every row has both or neither of get the same, to the last digits, and what the dense solution gives."""
    matrix, targets = problem(3_000, 12, 3, 4)
    twice = sparse.csr_array(sparse.hstack([matrix, matrix, 0.5 * matrix]))
    found = ridge(twice, targets, 10.0)
    np.testing.assert_allclose(found, dense(twice, targets, 10.0), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found[:12], found[12:24], rtol=1e-12)


def test_a_feature_that_no_row_has_gets_nothing() -> None:
    """Its coefficients are zero, and the others are as without it."""
    matrix, targets = problem(300, 6, 2, 4)
    beside = sparse.csr_array(sparse.hstack([matrix, sparse.csr_array((300, 1))]))
    found = ridge(beside, targets, 10.0)
    assert not found[6].any()
    np.testing.assert_array_equal(found[:6], ridge(matrix, targets, 10.0))


@pytest.mark.parametrize("shape", [(5, 0), (0, 5), (0, 0)])
def test_without_features_or_rows_there_is_nothing(shape: tuple[int, int]) -> None:
    """No features give no coefficients, and no rows give zeros."""
    found = ridge(sparse.csr_array(shape), np.ones((shape[0], 3)), 10.0)
    np.testing.assert_array_equal(found, np.zeros((shape[1], 3)))


def test_targets_of_nothing_give_nothing() -> None:
    """A column of zeros, such as an embedding has beyond the rank, stays zero beside others."""
    matrix, targets = problem(300, 6, 2, 3)
    targets[:, 1] = 0.0
    found = ridge(matrix, targets, 10.0)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found, dense(matrix, targets, 10.0), rtol=1e-8)


def test_the_same_problem_gives_the_same_bytes_in_any_process() -> None:
    """Another process with two threads of linear algebra finds what this one finds."""
    program = (
        "import hashlib\n"
        "from recommender.ridge import ridge\n"
        "from tests.recommender.test_ridge import problem\n"
        "print(hashlib.sha256(ridge(*problem(4_000, 500, 5, 16), 10.0).tobytes()).hexdigest())\n"
    )
    env = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=True, text=True)
    here = hashlib.sha256(ridge(*problem(4_000, 500, 5, 16), 10.0).tobytes()).hexdigest()
    assert other.stdout.strip() == here


def test_the_start_has_no_cell_for_every_pair_of_topics() -> None:
    """Five thousand topics take a small part of what one matrix of them by themselves would."""
    resources, topics, people = 4_000, 5_000, 500
    interests, _ = problem(people, resources + topics, 10, 0)
    shares, _ = problem(resources, topics, 3, 0, seed=1)
    descriptions = sparse.csr_array(sparse.hstack([sparse.eye_array(resources), shares]))
    known = np.flatnonzero(interests[:, :resources].sum(axis=0) > 0)
    tracemalloc.start()
    try:
        _, described = closed_form_start(interests, descriptions, known, TrainingConfig(components=4))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert described[resources:].any()
    assert peak < topics * topics * 8 / 10
