"""Makes what stands beside these tests importable for them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
