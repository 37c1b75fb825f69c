"""Filters as a picture: impulse, step and frequency response, laid over each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tuner.cli.filters.given import Shown
from tuner.compare.figures.axes import QUIET, broken, legend_below, plain, tidy, title
from tuner.compare.figures.log_ticks import log_axis, plain_number, power
from tuner.compare.figures.styles import arm_styles

_LEAST_DB = -80.0


def drawing(filters: Sequence[Shown]) -> Figure:
    """Three panels, each filter in a style of its own; a line is where half the power is left."""
    picture = Figure(figsize=(12.6, 4.2), layout="constrained")
    impulse, step, frequency = picture.subplots(1, 3)
    keys = [f"{place}" for place in range(len(filters))]
    styles = arm_styles(keys)
    handles = []
    for key, each in zip(keys, filters, strict=True):
        curves, style = each.curves, styles[key]
        look = {"color": style.colour, "linestyle": style.line, "linewidth": 1.5}
        label = plain(broken(each.text, 60))
        (line,) = step.plot(curves.steps, curves.step / curves.gain, label=label, **look)
        handles.append(line)
        impulse.plot(curves.steps, curves.impulse / curves.impulse.max(), **look)
        gain = np.maximum(abs(curves.response) / curves.gain, 1e-30)
        frequency.plot(curves.frequencies, 20 * np.log10(gain), **look)
    for axes, words, below in (
        (impulse, "Weight of a gradient, of the largest", "its age, steps"),
        (step, "Answer to an even gradient", "steps since it began"),
        (frequency, "Gain, dB", "cycles a step"),
    ):
        title(axes, words)
        axes.set_xlabel(below)
        log_axis(axes.xaxis, power if axes is frequency else plain_number)
        tidy(axes, grid="both")
    frequency.axhline(-10 * np.log10(2), color=QUIET, linewidth=0.8, zorder=0)
    frequency.set_ylim(bottom=_LEAST_DB)
    legend_below(picture, handles)
    return picture
