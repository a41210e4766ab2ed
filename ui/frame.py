"""What all pages share: the line with the name, the way from one page to another, and the task."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from ui import runs

PAGES = {"look.py": "Look", "curves.py": "Curves", "errors.py": "Errors", "about.py": "About"}
"""The pages by file, in their order."""


@contextmanager
def toolbar() -> Iterator[None]:
    """One line: the name, the way to the other pages, then the page's own controls."""
    with st.container(horizontal=True, key="toolbar", vertical_alignment="center"):
        st.html('<h1 class="parallax-brand">Parallax</h1>', width="content")
        with st.container(horizontal=True, key="pages", width="content"):
            for file, title in PAGES.items():
                st.page_link(file, label=title, width="content")
        yield


def choose_task(**looks: Any) -> str:
    """The task that pages show; the address names it, by its title or as the command line does."""
    asked = st.query_params.get("task")
    if asked in runs.tasks() and asked != runs.task_title(asked):
        st.query_params["task"] = runs.task_title(asked)
        st.rerun()
    looks = {"label_visibility": "collapsed", "width": 220} | looks
    return st.selectbox("Task", runs.tasks(), format_func=runs.task_title, key="task", bind="query-params", **looks)
