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
    words = _words(_asked()) if runs.tasks() else {}
    with st.container(horizontal=True, key="toolbar", vertical_alignment="center"):
        st.html('<h1 class="parallax-brand">Parallax</h1>', width="content")
        with st.container(horizontal=True, key="pages", width="content"):
            for file, title in PAGES.items():
                st.page_link(file, label=title, width="content", query_params=words)
        yield


def choose_task(**looks: Any) -> str:
    """The task that pages show; the address names it, by its title or as the command line does."""
    task = _asked()
    if st.query_params.get("task") not in (None, task, runs.task_title(task)):
        # Only then: whenever Streamlit writes the words of an address anew, it drops what stands behind the #.
        _write(task)
    # The address alone remembers it. A word that Streamlit binds to a choice is taken out on the way to another page.
    st.session_state["task"] = task
    looks = {"label_visibility": "collapsed", "width": 220} | looks
    return st.selectbox("Task", runs.tasks(), format_func=runs.task_title, key="task", on_change=_take, **looks)


def _asked() -> str:
    """The task that the address names, or the first."""
    asked, known = st.query_params.get("task"), runs.tasks()
    return next((task for task in known if asked in (task, runs.task_title(task))), known[0] if known else "")


def _words(task: str) -> dict[str, str]:
    """What an address says of a task: of the first one nothing."""
    return {"task": runs.task_title(task)} if task not in runs.tasks()[:1] else {}


def _write(task: str) -> None:
    word = _words(task).get("task")
    if word is None:
        st.query_params.pop("task", None)
    elif word != st.query_params.get("task"):
        st.query_params["task"] = word


def _take() -> None:
    _write(st.session_state["task"])
