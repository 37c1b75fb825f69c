"""``tuner bench verdicts``: how often verdicts are right, tried on searches whose truth is known.

A situation (``situations``) names search spaces whose settings are worth what a distribution says
(``shapes``, ``space``). The whole protocol is simulated (``simulated``): searches, the settings
that they select trained afresh, incumbents retrained, then ``tuner.compare.compare``. What it
states is held against the truth (``truths``): each interval must cover (``intervals``), and words
that claim something must be right (``wording``). ``tally`` counts, ``trying`` runs it on all
cores; ``methods`` holds the interval of a verdict against two others.
"""
