"""RecTools' side of the comparison: runs in its own environment, since it needs a NumPy older than ours on most Pythons.

`python rectools_metrics.py FOLDER K...` reads the lists from the folder and prints seconds and values as JSON.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]  # not a dependency of ours, and without types
from rectools import metrics  # type: ignore[import-not-found]  # lives in the other environment


def main() -> None:
    """Time RecTools' metrics on lists that were made elsewhere."""
    folder, cuts = Path(sys.argv[1]), [int(cut) for cut in sys.argv[2:]]
    listed, wanted, known = (pd.read_csv(folder / f"{name}.csv") for name in ("lists", "wanted", "known"))
    catalog = range(json.loads((folder / "catalogue.json").read_text("utf-8")))
    asked = {f"{name} {cut}": made for cut in cuts for name, made in _at(cut).items()}
    began = time.perf_counter()
    values = metrics.calc_metrics(asked, listed, wanted, known, catalog)
    print(json.dumps({"seconds": time.perf_counter() - began, "values": values}))


def _at(cut: int) -> dict[str, object]:
    return {
        "ndcg": metrics.NDCG(cut, divide_by_achievable=True),
        "recall": metrics.Recall(cut),
        "precision": metrics.Precision(cut),
        "map": metrics.MAP(cut),
        "mrr": metrics.MRR(cut),
        "hit_rate": metrics.HitRate(cut),
        "coverage": metrics.CatalogCoverage(cut, normalize=True),
        "novelty": metrics.MeanInvUserFreq(cut),
    }


if __name__ == "__main__":
    main()
