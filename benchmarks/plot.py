"""A bar for each model and engine: speed relative to the best peer's, so that models of any size share an axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from benchmarks.engines import ENGINES
from benchmarks.summary import Row


def plot(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw the bars into `path` (PNG or SVG by suffix), with the milliseconds written above each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = [row for row in rows if not row.failure and not isnan(row.vs_best_peer)]
    models = list(dict.fromkeys(row.model for row in measured))
    engines = [engine for engine in ENGINES if any(row.engine == engine for row in measured)]
    crowded = len(models) > 8
    width = 0.8 / max(len(engines), 1)
    figure, axes = pyplot.subplots(figsize=(max(6, (1.2 if crowded else 2.2) * len(models)), 4.5), layout="constrained")
    for offset, engine in enumerate(engines):
        bars = {row.model: row for row in measured if row.engine == engine}
        positions = [index + offset * width for index, model in enumerate(models) if model in bars]
        drawn = axes.bar(positions, [row.vs_best_peer for row in bars.values()], width * 0.95, label=engine)
        axes.bar_label(drawn, [f"{row.median_ms:.1f}" for row in bars.values()], fontsize=7, rotation=90 * crowded)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks([index + width * (len(engines) - 1) / 2 for index in range(len(models))], models)
    axes.tick_params("x", rotation=20 * crowded)
    axes.set_ylabel("speed / best peer's (higher is better)")
    axes.set_title(f"{title}; milliseconds above the bars", fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
