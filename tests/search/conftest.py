"""Makes ``light_trainer`` and ``comparisons`` importable, here and in spawned processes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
