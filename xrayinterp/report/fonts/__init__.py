"""Inter, the typeface of reports, in two weights (SIL Open Font License, see OFL.txt)."""

from pathlib import Path

FOLDER = Path(__file__).parent
REGULAR = FOLDER / "Inter-Regular.otf"
