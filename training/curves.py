"""Curves of the runs of a study: accuracy and loss over the epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.recipe import Recipe

if TYPE_CHECKING:
    from training.studies import Result

COLOURS = {
    "SGD": "#0072B2",
    "Adam": "#D55E00",
    "RMSprop": "#009E73",
    "Adagrad": "#CC79A7",
    "Nadam": "#8C6BB1",
}
"""Of the optimizers; Okabe and Ito's, told apart by people who see fewer colours."""
OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6BB1", "#6B6B6B", "#A6761D", "#56B4E9")
"""Of runs that share their optimizer."""
MARKERS = "osD^vPX*"
MOST = 8
"""Runs in one picture; of more, those with the best validation accuracy."""
INK, PALE, GRID = "#222222", "#6B6B6B", "#E4E4E4"


def draw(recipe: Recipe, results: "Sequence[Result]", path: Path) -> None:
    """Draw training (dashed) and validation (solid) of each run, and the parts of the loss where it has any."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    shown = list(results)
    if len(shown) > MOST:
        best = sorted(shown, key=lambda one: -(one.split("validation", "accuracy") or 0))[:MOST]
        shown = [one for one in shown if one in best]
    panels: list[tuple[str, tuple[tuple[str, str], ...]]] = [
        ("accuracy", (("accuracy", "--"), ("val_accuracy", "-"))),
        ("loss (nats)", (("loss", "--"), ("val_loss", "-"))),
    ]
    if any("l2" in row for one in shown for row in one.history):
        panels.append(("training loss in parts (nats)", (("cross_entropy", "--"), ("l2", ":"))))
    figure = Figure(figsize=(4.6 * len(panels), 3.9), dpi=150, layout="constrained")
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    styles = _styles(shown)
    for axis, (title, lines) in zip(axes, panels, strict=True):
        _dress(axis, title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for one in shown:
            colour, marker, hollow = styles[one.run]
            for column, line in lines:
                rows = [row for row in one.history if column in row]
                axis.plot(
                    [row["epoch"] for row in rows],
                    [row[column] for row in rows],
                    line,
                    color=colour,
                    alpha=1 if line == "-" else 0.75,
                    linewidth=1.8 if line == "-" else 1.1,
                    marker=marker,
                    markersize=4.5 if line == "-" else 3,
                    markerfacecolor="white" if hollow or line != "-" else colour,
                    markevery=max(1, len(rows) // 8),
                    zorder=3 if line == "-" else 2,
                )
        for epoch in _changes(shown):
            axis.axvline(epoch, color=PALE, linewidth=0.7, linestyle=(0, (1, 3)))
    if len(panels) == 3:
        axes[2].set_yscale("log")
    _legend(figure, shown, styles, len(panels) == 3)
    more = f" · the {len(shown)} best of {len(results)} runs" if len(results) > len(shown) else ""
    figure.suptitle(f"{recipe.task}{more}", x=0.008, ha="left", fontsize=11, fontweight="bold", color=INK)
    figure.savefig(path, metadata={"Software": None})


def _styles(shown: "Sequence[Result]") -> dict[str, tuple[str, str, bool]]:
    """Colour, marker and whether it is hollow, for each run: no two alike, and all told apart without colour."""
    optimizers = [one.card.optimizer.get("name", "") for one in shown]
    by_optimizer = len({one.card.architecture for one in shown}) == 1
    styles: dict[str, tuple[str, str, bool]] = {}
    for index, (one, optimizer) in enumerate(zip(shown, optimizers, strict=True)):
        colour = COLOURS.get(optimizer, INK) if by_optimizer else OTHERS[index % len(OTHERS)]
        styles[one.run] = (
            colour,
            MARKERS[index % len(MARKERS)],
            optimizers[:index].count(optimizer) > 0 and by_optimizer,
        )
    return styles


def _changes(shown: "Sequence[Result]") -> list[float]:
    """Between which epochs a stage ends, where all runs have the same stages."""
    stages = [[stage["epochs"] for stage in one.card.training.get("stages", ())] for one in shown]
    if any(one != stages[0] for one in stages):
        return []
    return [sum(stages[0][: index + 1]) + 0.5 for index in range(len(stages[0]) - 1)]


def _dress(axis: Any, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=9.5, color=INK)
    axis.set_xlabel("epoch", fontsize=9, color=PALE)
    axis.tick_params(which="both", labelsize=8.5, colors=PALE, length=0)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(GRID)


def _legend(figure: Any, shown: "Sequence[Result]", styles: dict[str, tuple[str, str, bool]], parts: bool) -> None:
    from matplotlib.lines import Line2D

    def line(colour: str, style: Any, label: str, **more: Any) -> Any:
        return Line2D([], [], color=colour, linestyle=style, label=label, linewidth=1.6, **more)

    handles = [
        line(colour, "-", run, marker=marker, markersize=5, markerfacecolor="white" if hollow else colour)
        for run, (colour, marker, hollow) in styles.items()
    ]
    handles += [line(PALE, "-", "validation"), line(PALE, "--", "training, or cross-entropy" if parts else "training")]
    handles += [line(PALE, ":", "L2")] if parts else []
    for columns in range(min(5, len(handles)), 0, -1):
        legend = figure.legend(
            handles=handles, loc="outside lower left", ncols=columns, frameon=False, fontsize=8.5, labelcolor=INK
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
