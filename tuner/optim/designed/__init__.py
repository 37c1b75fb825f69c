"""Low-pass filters by design: their prototypes, the form they run in, and the rule.

``prototypes``, ``slots`` and ``sections`` are plain numpy, ``running`` and ``rule`` are torch.
"""
