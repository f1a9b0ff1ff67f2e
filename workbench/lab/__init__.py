"""Running things: metrics, experiments, notebooks, benchmarks and the papers' numbers."""
