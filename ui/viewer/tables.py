"""Writes ``colormaps.js``: the colour tables of the viewer, 256 RGB triples each, baked in from ``cmap``.

``python -m ui.viewer.tables`` writes the file beside this one. The viewer then needs no colour library.

Sources: lipari and managua from Crameri, *Scientific colour maps* (doi 10.5281/zenodo.1243862);
CET-D1A from Kovesi, *Good colour maps: how to design them* (arXiv 1509.03700).
"""

import base64
from pathlib import Path

import cmap
import numpy as np

# managua is turned round so that in both themes warm means "for" and cold means "against".
TABLES = {
    "sequential": "crameri:lipari",
    "signedLight": "colorcet:CET_D1A",
    "signedDark": "crameri:managua_r",
}

FILE = Path(__file__).with_name("colormaps.js")


def table(name: str) -> np.ndarray:
    """The colours of one table, (256, 3) uint8, from its lowest value to its highest."""
    return np.round(cmap.Colormap(name)(np.linspace(0.0, 1.0, 256))[:, :3] * 255).astype(np.uint8)


def source() -> str:
    """The text of ``colormaps.js``."""
    entries = "".join(
        f'  // {name}\n  {key}: "{base64.b64encode(table(name).tobytes()).decode()}",\n' for key, name in TABLES.items()
    )
    return (
        "// Written by `python -m ui.viewer.tables`; do not edit.\n"
        "// Each table: 256 RGB triples from lowest to highest, base64.\n"
        f"export const TABLES = Object.freeze({{\n{entries}}});\n"
    )


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
