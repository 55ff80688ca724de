"""The loops of a recommendation: compiled where there was a C compiler at installation, in NumPy elsewhere.

Both do the same (`tests/recommender/test_kernels.py`); `plain` says what, `compiled` does it without the dozens of
passes and temporary arrays in between. None of them looks after its arguments: shapes and types are the caller's affair.
"""

try:
    from recommender.kernels.compiled import add_up, best, hide, line_up, rank, weave, weigh
except ImportError:
    from recommender.kernels.plain import add_up, best, hide, line_up, rank, weave, weigh

__all__ = ["add_up", "best", "hide", "line_up", "rank", "weave", "weigh"]
