"""The pages and what frames them: the name, the style, the way from one page to another."""

import base64
from pathlib import Path

import streamlit as st

from ui.frame import PAGES

HERE = Path(__file__).parent
ICON = HERE / "parallax.svg"
MARK = base64.b64encode(ICON.read_bytes()).decode()
STYLE = (HERE / "page.css").read_text(encoding="utf-8").replace("PARALLAX_MARK", f"data:image/svg+xml;base64,{MARK}")

st.set_page_config(page_title="Parallax", page_icon=str(ICON), layout="wide")
st.html(f"<style>{STYLE}</style>")
st.navigation(
    [st.Page(file, title=title, default=file == "look.py") for file, title in PAGES.items()], position="hidden"
).run()
