"""Tune binary neural networks in gradient-filter space, and check how much tuning that saves.

The rooms, from the top down; each may import those below it and none beside or above it:

- ``api``: the server, its pages and its JSON.
- ``cli``: the commands.
- ``bench``, ``claims``: how fast it is, and whether what the method claims holds here.
- ``search``: comparisons of studies in Optuna and SQL; one module of it, the trainer of its
  workers, trains with torch.
- ``compare``: from finished trials to a verdict, its figures and its report, with numpy, scipy,
  opda, matplotlib, rich and jinja2; it trains and stores nothing.
- ``train``, ``bnn``, ``optim``: how trials are trained, networks and data, update rules; torch,
  and no database. ``equivalence`` in ``optim`` needs no torch.
- ``kernels``: the compiled operations that training calls.

The modules beside them are shared: settings, errors, logs, what a trial and a workload are.
"""

__version__ = "0.1.0"
