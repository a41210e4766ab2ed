"""What a visitor sees when a page breaks: one sentence, and a number that finds the error in the server's log."""

import streamlit as st

from ui.noted import noted


def say_sorry(error: Exception) -> bool:
    """Log an unforeseen error with its traceback and tell the visitor its number."""
    st.error(f"{noted(error)} Reload the page to go on.")
    return True
