"""From finished trials to a verdict with its uncertainty.

comparison = compare([magnitude, filter_arm], Protocol(workload="digits", target=0.95))
print_table(comparison, Console())          # tuner.compare.report.terminal
to_json(comparison)                         # tuner.compare.report.data
to_html(comparison)                         # tuner.compare.report.html
figure(comparison).savefig("curve.png")     # tuner.compare.figures
"""

from tuner.compare.arm import Arm, Retrained
from tuner.compare.comparison import Comparison, compare
from tuner.compare.protocol import Protocol

__all__ = ["Arm", "Comparison", "Protocol", "Retrained", "compare"]
