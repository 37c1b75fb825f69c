"""Where unfinished training is kept: a folder, or an address that fsspec opens.

``at`` says which; ``Place`` is what both can do. Who keeps a folder of files there packs it.
"""

from tuner.kept.place import Place
from tuner.kept.places import at

__all__ = ["Place", "at"]
