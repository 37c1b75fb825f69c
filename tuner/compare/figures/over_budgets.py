"""The primary difference at every budget, and where it is shown, fragile or open."""

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.evidence.over_budgets import OverBudgets, runs_of
from tuner.compare.figures.axes import DASHED, QUIET, in_unit, legend_below, plain, tidy, title
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import COLOURS

MARKS = {"holds": "o", "fragile": "X", "cannot tell": "D", None: "s"}
"""What the control says of a difference -> its mark."""


def arms(comparison: Comparison) -> tuple[str, ...]:
    """The two arms of the primary contrast; nobody without budgets to show."""
    primary = comparison.contrasts[0]
    return (primary.first, primary.second) if comparison.over_budgets is not None else ()


def draw(comparison: Comparison) -> Figure:
    """The difference over k with its interval at each k; the mark says what the control says."""
    curve, protocol = comparison.over_budgets, comparison.protocol
    assert curve is not None
    drawing = Figure(figsize=(6.8, 3.8), layout="constrained")
    axes = drawing.subplots()
    axes.axhline(0, color=QUIET, linewidth=0.8)
    if protocol.rope:
        axes.axhspan(-protocol.rope, protocol.rope, color=QUIET, alpha=0.12, linewidth=0)
    axes.plot(curve.k, curve.value, color=COLOURS[0], linewidth=1.6)
    axes.fill_between(curve.k, curve.low, curve.high, color=COLOURS[0], alpha=0.14, linewidth=0)
    _mark(axes, curve)
    axes.axvline(comparison.k, color=QUIET, linewidth=0.8, linestyle=DASHED)
    log_axis(axes.xaxis, plain_number, least=1.0)
    axes.set_xlabel("budget k, random trials (dashed: k*)")
    first, second = arms(comparison)
    axes.set_ylabel(plain(f"difference of {words.measure(protocol)}"))
    title(axes, f"Best of k: {first} minus {second}")
    in_unit(axes.yaxis, protocol)
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    tidy(axes)
    return drawing


def _mark(axes: Axes, curve: OverBudgets) -> None:
    labels = {
        "holds": "more than half of it holds in narrow ranges",
        "fragile": "less than half of it holds in narrow ranges",
        "cannot tell": "the control cannot tell",
        None: "told apart or equivalent" if not any(curve.narrow) else "equivalent",
    }
    shown = [word != "not told apart" for word in curve.words]
    for said, mark in MARKS.items():
        at = [place for place, told in enumerate(shown) if told and curve.narrow[place] == said]
        if at:
            axes.plot(
                curve.k[at],
                curve.value[at],
                color=COLOURS[1] if said == "fragile" else COLOURS[0],
                marker=mark,
                linestyle="none",
                label=labels[said],
            )
    at = [place for place, told in enumerate(shown) if not told]
    if at:
        axes.plot(
            curve.k[at],
            curve.value[at],
            color=QUIET,
            marker="|",
            linestyle="none",
            label="not told apart",
        )


def caption(comparison: Comparison) -> str:
    """What is drawn, and what each stretch of budgets says."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    curve = comparison.over_budgets
    if curve is None:
        return
    first, second = arms(comparison)
    level = words.level(comparison.protocol)
    yield (
        f"Difference of the {words.best_of(0, comparison.protocol).rsplit(' ', 1)[0]} k "
        f"validation scores, {first} minus {second}; shaded: its {level} interval at each k by "
        "itself."
    )
    said = [
        f"{word}{', ' + narrow if narrow else ''}"
        for word, narrow in zip(curve.words, curve.narrow, strict=True)
    ]
    stretches = [
        f"{word} at k = {curve.k[a]:,}" + (f" to {curve.k[b]:,}" if b > a else "")
        for word, a, b in runs_of(said)
    ]
    yield f"{first} is {'; '.join(stretches)}."
    if any(curve.narrow):
        yield (
            "Holds, fragile: more, less than half of it is shown to be left with "
            f"{comparison.protocol.control} in place of {second}."
        )
    if comparison.protocol.rope:
        yield "Grey: the region of practical equivalence."
