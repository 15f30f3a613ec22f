"""The speed of the library as ratios: each figure against a peer that does the same, in the same run.

``python -m benchmarks`` runs them all. See `benchmarks.measure` for what a ratio is.
"""
