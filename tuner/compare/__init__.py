"""From finished trials to a verdict with its uncertainty.

comparison = compare([new_arm, old_arm], Protocol(workload="digits", target=0.95))
print_table(comparison, Console())                              # tuner.compare.report.terminal
to_json(comparison)                                             # tuner.compare.report.data
to_html(comparison)                                             # tuner.compare.report.html
main_picture(comparison).drawing.savefig("curve.png")           # tuner.compare.figures.gallery

The rooms, each of which knows only those after it: report, figures, comparison with verdict, notes
and evidence, summary and sentences, contrast and words, protocol, arm, trial_filters, statistics.
"""

from tuner.compare.arm import Arm, Retrained
from tuner.compare.comparison import Comparison, compare
from tuner.compare.protocol import Protocol

__all__ = ["Arm", "Comparison", "Protocol", "Retrained", "compare"]
