"""Writes ``colormaps.js``: the colours of `explain.render.table`, so that the viewer needs no colour library.

``python -m ui.viewer.tables`` writes the file beside this one.

Sources: lipari and managua from Crameri, *Scientific colour maps* (doi 10.5281/zenodo.1243862);
CET-D1A from Kovesi, *Good colour maps: how to design them* (arXiv 1509.03700).
"""

import base64
from pathlib import Path

import numpy as np

from explain import render

TABLES = {
    "sequential": render.table(),
    "signedLight": render.table(signed=True),
    "signedDark": render.table(signed=True, dark=True),
}
FILE = Path(__file__).with_name("colormaps.js")


def source() -> str:
    """The text of ``colormaps.js``."""
    entries = "".join(
        f'  {key}: "{base64.b64encode(table.astype(np.uint8).tobytes()).decode()}",\n' for key, table in TABLES.items()
    )
    return (
        "// Written by `python -m ui.viewer.tables`; do not edit.\n"
        "// Each table: 256 RGB triples from lowest to highest, base64.\n"
        f"export const TABLES = Object.freeze({{\n{entries}}});\n"
    )


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
