"""The claims of the method, each a declared check that trains real networks and measures.

A claim is a TOML file in ``studies/claims/``: what it says, the kind of check, its parameters and
what is expected. One module here per kind; ``kinds`` lists them, ``run`` runs them.

Source: the idea is Quist, Li & van Gemert (2023), arXiv:2303.02452; the checks are ours.
"""
