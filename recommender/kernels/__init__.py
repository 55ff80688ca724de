"""The loops of a recommendation: compiled where there was a C compiler at installation, in Python and NumPy elsewhere.

Both do the same (`tests/recommender/test_kernels.py`); `plain` says what, `compiled` does it without the dozens of
passes and temporary arrays in between. None of them looks after its arguments: shapes and types are the caller's affair.
"""

from recommender.kernels.plain import CONTEXT, COUNTS, FELT, RATED, SHOWN, Rule

try:
    from recommender.kernels.compiled import (
        Catalogue,
        Page,
        add_up,
        best,
        diversify,
        hide,
        line_up,
        mixed,
        rank,
        read,
        weigh,
    )
except ImportError:
    from recommender.kernels.plain import (
        Catalogue,
        Page,
        add_up,
        best,
        diversify,
        hide,
        line_up,
        mixed,
        rank,
        read,
        weigh,
    )

__all__ = [
    "CONTEXT", "COUNTS", "FELT", "RATED", "SHOWN",
    "Catalogue", "Page", "Rule", "add_up", "best", "diversify", "hide", "line_up", "mixed", "rank", "read", "weigh",
]  # fmt: skip
