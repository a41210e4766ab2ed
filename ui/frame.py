"""What all pages share: the line with the name, the way from one page to another, and the task."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

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


def toolbar_of_tasks() -> str:
    """The line of a page where the task is all there is to choose, and the task; where there is none it says why."""
    with toolbar():
        task = choose_task() if runs.tasks() else ""
    if not task:
        st.error(runs.NONE)
    return task


def choose_task(label_visibility: str = "collapsed", width: int | str = 220) -> str:
    """The task that pages show."""
    return choose("task", "Task", runs.tasks(), named=runs.task_title, label_visibility=label_visibility, width=width)


def choose(
    word: str, label: str, options: Sequence[str], first: int = 0, named: Callable[[str], str] = str, **looks: Any
) -> str:
    """One of the options, the one at `first` unless the address names another: as it is shown, or by itself.

    The address alone remembers it. A word that Streamlit binds to a choice is taken out on the way to another page and
    where it says what is shown anyway; and whenever Streamlit writes the words of an address anew, it drops what stands
    behind the #. So they are written when another choice is made, or none is meant.
    """
    chosen = _option(word, options, first, named)
    if asked(word) not in (None, chosen, named(chosen)):
        write(word, None)
    if st.session_state.get(_field(word), chosen) != chosen:
        # What a browser says that has not heard of it yet is what it said before, and would undo it.
        st.session_state["choices"][word] += 1
    field = _field(word)
    st.session_state[word] = st.session_state[field] = chosen
    take = {"on_change": _take, "args": (word, field, options[first], named)}
    return st.selectbox(label, options, key=field, format_func=named, **take, **looks)


def write(word: str, said: str | None) -> None:
    """Put a word into the address, or take it out."""
    _written()[word] = (st.query_params.get(word), said)
    _put(word, said)


def asked(word: str) -> str | None:
    """What the address says of a word; a browser that does not have yet what was written there is told once more."""
    there = st.query_params.get(word)
    context = get_script_run_ctx()
    if context and context.is_history_navigation:
        # Who goes back means what was there before.
        _written().pop(word, None)
    before, said = _written().get(word, (there, there))
    if there != before or there == said:
        return there
    _put(word, said)
    return said


def _written() -> dict[str, tuple[str | None, str | None]]:
    """For each word that was written on this page what the address said before, and what it says since."""
    context = get_script_run_ctx()
    page = context.page_script_hash if context else ""
    known, written = st.session_state.get("written", ("", {}))
    if known != page:
        written = {}
    st.session_state["written"] = (page, written)
    return written


def _put(word: str, said: str | None) -> None:
    if said is None:
        st.query_params.pop(word, None)
    else:
        st.query_params[word] = said


def _field(word: str) -> str:
    """The key of the widget that stands for a word now."""
    return f"{word}-{st.session_state.setdefault('choices', Counter())[word]}"


def _option(word: str, options: Sequence[str], first: int, named: Callable[[str], str]) -> str:
    """The option that the address means."""
    said = asked(word)
    return next((option for option in options if said in (option, named(option))), options[first])


def _take(word: str, field: str, default: str, named: Callable[[str], str]) -> None:
    if field != _field(word):
        return
    chosen = st.session_state[word] = st.session_state[field]
    write(word, None if chosen == default else named(chosen))


def _words() -> dict[str, str]:
    """What an address says of the task that is asked for: of the first one nothing."""
    tasks = runs.tasks()
    if not tasks:
        return {}
    task = _option("task", tasks, 0, runs.task_title)
    return {} if task == tasks[0] else {"task": runs.task_title(task)}
