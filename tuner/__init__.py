"""Tune binary neural networks in gradient-filter space, and check how much tuning that saves.

The rooms, and who may import whom: ``optim``, ``bnn`` and ``train`` know torch only; ``search``
knows Optuna and SQL; ``compare`` knows numpy, scipy and opda only; ``cli`` sees them all.
"""

__version__ = "0.1.0"
