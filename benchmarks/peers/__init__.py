"""Other libraries' Grad-CAMs, each as its own documentation calls it, in an environment and a process of their own.

    python3.11 -m venv .peers
    .peers/bin/pip install --no-deps -r requirements-peers.txt
    python -m benchmarks speed --peers .peers/bin/python

`python -m benchmarks.peers torch|keras FOLDER` runs there, is asked for times and maps on its standard input, and
answers on its standard output, see `__main__.py`. Nothing here imports anything of the project, nor a library before
it is asked for. FOLDER holds the one network and photograph that all of them explain, see `task.py`; `worker.py`,
outside this package, writes it.
"""
