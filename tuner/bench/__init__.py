"""``tuner bench``: this software beside plain PyTorch and Optuna, measured on the user's machine.

A contest (``contests``) is one question, answered by matches (``match``): a baseline and the
variants held against it, each in processes of its own (``child``), which wait between their slices
of work, so that the sides take turns and never run at the same time (``play``). A ratio is formed
within a round, from slices measured one after the other; reported is the median over the rounds,
with the least and the greatest (``rows``). ``run`` holds one contest after the other.

Every process has one thread. The baseline (``plain``) is what a competent user writes; unless a
contest says otherwise its images are tensors, normalised before the clock runs.

``verdicts`` measures no speed: it asks how often what ``tuner compare`` says is right.
"""
