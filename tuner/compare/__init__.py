"""From finished trials to a verdict with its uncertainty.

comparison = compare_scores(new_losses, old_losses, direction="minimize", sampler="random")
comparison = compare_studies("a.db::new", "b.db::old", sampler="random", target=0.95)
comparison = compare([new_arm, old_arm], Protocol(workload="digits", target=0.95))
print(comparison)                                               # the verdict, and what to know
print_table(comparison, Console())                              # tuner.compare.report.terminal
to_json(comparison)                                             # tuner.compare.report.data
to_html(comparison)                                             # tuner.compare.report.html
main_picture(comparison).drawing.savefig("curve.png")           # tuner.compare.figures.gallery

The rooms, each of which knows only those after it: scores, report, figures, comparison with
verdict, notes and evidence, summary and sentences, contrast and words, protocol, arm,
trial_filters, statistics. ``compare_studies`` lies in a room above this one, which reads studies
wherever they are kept: it is fetched when it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from tuner.compare.arm import Arm, Retrained
from tuner.compare.comparison import Comparison, compare
from tuner.compare.protocol import Protocol
from tuner.compare.scores import compare_scores

__all__ = [
    "Arm",
    "Comparison",
    "Protocol",
    "Retrained",
    "compare",
    "compare_scores",
    "compare_studies",
]

compare_studies: Callable[..., Comparison]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Comparison]:
        """``compare_studies``, once somebody asks for it."""
        if name != "compare_studies":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("tuner.search.foreign.compare").compare_studies
