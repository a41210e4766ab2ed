"""The pages and what frames them: the title, the style, the way from one page to another."""

from pathlib import Path

import streamlit as st

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

st.set_page_config(page_title="Parallax", page_icon=":material/visibility:", layout="wide")
st.html(f"<style>{STYLE}</style>")
st.navigation([st.Page("look.py", title="Look", default=True)], position="top").run()
