"""What all pages share: the line with the name, the way from one page to another, and the task."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from ui import runs

PAGES = {"look.py": "Look", "curves.py": "Curves", "errors.py": "Errors", "about.py": "About"}
"""The pages by file, in their order."""


@contextmanager
def toolbar() -> Iterator[None]:
    """One line: the name, the way to the other pages, then the page's own controls."""
    words = _words()
    with st.container(horizontal=True, key="toolbar", vertical_alignment="center"):
        st.html('<h1 class="parallax-brand">Parallax</h1>', width="content")
        with st.container(horizontal=True, key="pages", width="content"):
            for file, title in PAGES.items():
                st.page_link(file, label=title, width="content", query_params=words)
        yield


def choose_task(**looks: Any) -> str:
    """The task that pages show."""
    looks = {"label_visibility": "collapsed", "width": 220} | looks
    return choose("task", "Task", runs.tasks(), named=runs.task_title, **looks)


def choose(
    word: str, label: str, options: Sequence[str], first: int = 0, named: Callable[[str], str] = str, **looks: Any
) -> str:
    """One of the options, the one at `first` unless the address names another: as it is shown, or by itself.

    The address alone remembers it. A word that Streamlit binds to a choice is taken out on the way to another page and
    where it says what is shown anyway; and whenever Streamlit writes the words of an address anew, it drops what stands
    behind the #. So they are written when another choice is made, or none is meant.
    """
    chosen = _asked(word, options, first, named)
    if st.query_params.get(word) not in (None, chosen, named(chosen)):
        st.query_params.pop(word)
    st.session_state[word] = chosen
    return st.selectbox(
        label, options, key=word, format_func=named, on_change=_take, args=(word, options[first], named), **looks
    )


def _asked(word: str, options: Sequence[str], first: int, named: Callable[[str], str]) -> str:
    asked = st.query_params.get(word)
    return next((option for option in options if asked in (option, named(option))), options[first])


def _take(word: str, default: str, named: Callable[[str], str]) -> None:
    chosen = st.session_state[word]
    if chosen == default:
        st.query_params.pop(word, None)
    else:
        st.query_params[word] = named(chosen)


def _words() -> dict[str, str]:
    """What an address says of the task that is asked for: of the first one nothing."""
    tasks = runs.tasks()
    if not tasks:
        return {}
    task = _asked("task", tasks, 0, runs.task_title)
    return {} if task == tasks[0] else {"task": runs.task_title(task)}
