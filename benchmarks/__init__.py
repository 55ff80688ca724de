"""How fast it is, as ratios that are measured in one run; `python -m benchmarks` or `make bench`."""
