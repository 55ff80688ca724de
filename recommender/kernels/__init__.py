"""The loops of a recommendation: compiled where there was a C compiler at installation, in NumPy elsewhere.

Both do the same (`tests/recommender/test_kernels.py`); `plain` says what, `compiled` does it without the dozens of
passes and temporary arrays in between. None of them looks after its arguments: shapes and types are the caller's affair.
"""

try:
    from recommender.kernels.compiled import Page, add_up, best, hide, line_up, rank, weigh
except ImportError:
    from recommender.kernels.plain import Page, add_up, best, hide, line_up, rank, weigh

__all__ = ["Page", "add_up", "best", "hide", "line_up", "rank", "weigh"]
