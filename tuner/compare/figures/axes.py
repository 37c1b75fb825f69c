"""What every figure has in common: quiet axes, the target, a legend that covers nothing."""

import re
from collections.abc import Sequence
from io import BytesIO, StringIO
from math import ceil
from typing import Literal

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, PercentFormatter, ScalarFormatter

from tuner.compare import words
from tuner.compare.figures.log_ticks import FONT_SIZE, boxes_for_missing_glyphs, text_width
from tuner.compare.protocol import ACCURACY, Protocol

INK, QUIET = "#222222", "#6b6b6b"
DASHED = (0, (6, 3))
PER_ROW = 3
"""Panels beside each other, so that a page of usual width shows them legibly."""
MANY = 1000
"""More points than this are drawn as an image, also in a vector format."""
_LINE, _HANDLE = 1.45 * FONT_SIZE, 5.5 * FONT_SIZE


def tidy(axes: Axes, *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Quiet axes with a light grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.grid(axis=grid, color="#888888", alpha=0.18, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=FONT_SIZE)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9.5)


def in_unit(axis: Axis, protocol: Protocol) -> None:
    """Show the scores of an axis, or their differences, as the studies have them.

    Per cent where they are accuracies. Where the studies minimize, the axis is turned round and
    labelled in their own sign: values rise upwards and to the right, and the better ones lie below
    and to the left. To be called once the limits are set: setting them turns an axis back.
    """
    per_cent = PercentFormatter(1.0) if protocol.unit == ACCURACY else None
    if protocol.minimized:
        axis.set_inverted(True)
        axis.set_major_formatter(_OwnSign(per_cent or ScalarFormatter(useOffset=False), axis))
    elif per_cent is not None:
        axis.set_major_formatter(per_cent)


class _OwnSign(Formatter):
    """Labels of the values with the opposite sign."""

    def __init__(self, shown: Formatter, axis: Axis) -> None:
        self._shown = shown
        shown.set_axis(axis)

    def set_locs(self, locs: list[float]) -> None:
        self._shown.set_locs(locs)

    def get_offset(self) -> str:
        return self._shown.get_offset()

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self._shown(0.0 - x, pos)


def title(axes: Axes, text: str, *, longest: int = 60, pad: float = 6.0) -> None:
    """A title at the left, in lines of at most ``longest`` characters."""
    axes.set_title(plain(broken(text, longest)), loc="left", fontsize=10, color=INK, pad=pad)


def plain(text: str) -> str:
    """A text that is drawn as it is written, whatever is in it.

    To matplotlib a $ begins a formula, and a label that begins with _ is not for the legend. What
    cannot be printed is no part of an SVG file.
    """
    printable = "".join(c if c.isprintable() or c in "\n\u200b" else "\ufffd" for c in text)
    escaped = printable.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def broken(text: str, longest: int) -> str:
    """The text in lines of at most so many characters, broken after a space, ``_`` or ``-``."""
    lines = re.findall(rf".{{1,{longest}}}(?:(?<=[ _-])|$)|.{{{longest}}}", text)
    return "\n".join(line.rstrip() for line in lines)


def mark_target(axes: Axes, protocol: Protocol) -> None:
    """A dashed line at the target, if there is one."""
    if protocol.target is not None:
        axes.axhline(protocol.target, color=QUIET, linewidth=0.8, linestyle=DASHED, zorder=0)


def label_target(axes: Axes, protocol: Protocol) -> None:
    """The target's value beside its line, right of the axes, where no curve runs."""
    if protocol.target is not None:
        axes.annotate(
            f"target\n{words.score(protocol.target, protocol)}",
            (1, protocol.target),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=QUIET,
            fontsize=8,
        )


def legend_below(drawing: Figure, handles: Sequence[Artist]) -> None:
    """The legend under all panels, in as many columns as fit; the figure grows by its rows."""
    if not handles:
        return
    labels = [broken(str(handle.get_label()), 60) for handle in handles]
    lines = [line for label in labels for line in label.split("\n")]
    column = max(text_width(line, FONT_SIZE) for line in lines) + _HANDLE
    columns = max(1, min(len(labels), int(72 * drawing.get_figwidth() / column)))
    tallest = max(label.count("\n") + 1 for label in labels)
    rows = ceil(len(labels) / columns) * tallest
    drawing.set_figheight(drawing.get_figheight() + rows * _LINE / 72)
    drawing.legend(
        handles=handles,
        labels=labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=FONT_SIZE,
        handlelength=3.2,
        columnspacing=1.4,
    )


def panels(n: int, *, width: float, height: float, share: bool) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, ``PER_ROW`` of them in a row.

    Args:
        n: At least 1.
        width: Of one panel, inches.
        height: Of one panel, inches.
        share: Whether all panels have the same axes.
    """
    columns, rows = min(n, PER_ROW), ceil(n / PER_ROW)
    drawing = Figure(figsize=(1.2 + width * columns, height * rows), layout="constrained")
    grid = drawing.subplots(rows, columns, sharex=True, sharey=share, squeeze=False).ravel()
    for spare in grid[n:]:
        spare.remove()
    for axes in grid[:n]:
        axes.tick_params(labelbottom=True)
    return drawing, list(grid[:n])


def as_svg(drawing: Figure, *, salt: str) -> str:
    """The drawing as an ``<svg>`` element to put into a page; the same numbers, same bytes.

    Args:
        drawing: The figure.
        salt: Of the identifiers: the parts of two figures of a page must not be taken for each
            other's.
    """
    buffer = StringIO()
    with (
        rc_context({"svg.hashsalt": f"tuner {salt}", "svg.fonttype": "none"}),
        boxes_for_missing_glyphs(),
    ):
        _lay_out(drawing)
        drawing.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    text = buffer.getvalue()
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text[text.index("<svg") :])


def as_file(drawing: Figure, kind: str) -> bytes:
    """The drawing as the content of a file: png, svg or pdf."""
    buffer = BytesIO()
    with boxes_for_missing_glyphs():
        _lay_out(drawing)
        drawing.savefig(buffer, format=kind, dpi=200)
    return buffer.getvalue()


def _lay_out(drawing: Figure) -> None:
    """Put everything in its place, once: anew for each file would take longer than to draw it.

    The places are those of an SVG file, in whatever format comes first.
    """
    if (engine := drawing.get_layout_engine()) is not None:
        canvas, dpi = drawing.canvas, drawing.dpi
        FigureCanvasSVG(drawing)
        engine.execute(drawing)
        drawing.set_canvas(canvas)
        drawing.dpi = dpi
        drawing.set_layout_engine(None)
