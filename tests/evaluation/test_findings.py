import pytest

from evaluation.findings import FURTHER, further

SLICE = {"dimension": "history", "slice": "5 to 9", "model": "ease", "metric": "ndcg", "k": 10}
DRIFT = {"share": 0.01, "against": "before", "jaccard": 0.5, "jaccard_low": 0.4, "jaccard_high": 0.6}
A = {
    "slices": [SLICE | {"value": 0.2, "low": 0.19, "high": 0.21}, SLICE | {"slice": "new", "value": None}],
    "consent_value": {
        "signals": [{"signal": "views", "way": "refit", "worth": 0.1, "low": 0.0, "high": 0.2}],
        "opt_in": [{"chosen_by": "chance", "share": 0.25, "everyone": 0.1}],
        "utility": [{"shares": "nothing", "value": 0.05, "low": 0.04, "high": 0.06}],
    },
    "erasure_drift": {
        "lists": [DRIFT | {"difference": 0.0, "low": -0.1, "high": 0.1}],
        "times": [{"share": 0.01, "times_faster": 4.0}],
    },
    "explanations": [{"measure": "validity", "value": 1.0, "low": 0.9, "high": 1.1}],
}
B = A | {
    "slices": [SLICE | {"value": 0.3, "low": 0.29, "high": 0.31}, SLICE | {"slice": "new", "value": 0.1}],
    "explanations": [{"measure": "validity", "value": 1.05, "low": 0.95, "high": 1.15}],
}


def test_every_finding_is_set_side_by_side() -> None:
    """Slices, consent, drift and explanations that both have are rows; what one has no value for is left out."""
    found = further(A, B)
    assert found.schema == FURTHER
    assert found["finding"].to_list() == [
        "slices", "signals", "opt_in", "utility", "lists", "lists", "times", "explanations",
    ]  # fmt: skip
    assert found.filter(finding="lists")["figure"].to_list() == ["jaccard", "difference"]
    assert found.filter(finding="slices")["of"].item() == "history, 5 to 9, ease, ndcg, 10"


def test_only_what_is_beyond_chance_is_said_to_differ() -> None:
    """Intervals are of the two widths together: far apart is higher, nearer than chance is no clear difference."""
    found = further(A, B)
    row = found.filter(finding="slices").row(0, named=True)
    assert (row["difference"], row["verdict"]) == (pytest.approx(0.1), "higher")
    assert (row["low"], row["high"]) == (pytest.approx(0.1 - 2**0.5 / 100), pytest.approx(0.1 + 2**0.5 / 100))
    assert found.filter(finding="explanations")["verdict"].item() == "no clear difference"
    assert found.filter(finding="times")["verdict"].item() is None
    assert further(B, A).filter(finding="slices")["verdict"].item() == "lower"


def test_what_one_report_did_not_measure_is_left_out() -> None:
    """A report without a finding has none of its rows, and is no error."""
    less = A | {"consent_value": None, "explanations": None}
    assert set(further(less, B)["finding"]) == {"slices", "lists", "times"}
    assert further({}, B).is_empty()
