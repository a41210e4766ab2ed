"""`python -m benchmarks`: the figures in the README, each one a command."""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenBLAS threads go on spinning after a product and would take the second core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.errors import BenchmarkError
from models.command import status_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    speeds = commands.add_parser("speed", help="one photograph explained, against plain forwards and other libraries")
    speeds.add_argument("--peers", metavar="PYTHON", help="interpreter of the other libraries' environment")
    speeds.add_argument("--rounds", type=int, default=20, metavar="N", help="turns of every case; default: 20")
    peers = commands.add_parser("peers", help="Grad-CAM against other libraries' on the same weights")
    peers.add_argument("--peers", metavar="PYTHON", required=True, help="interpreter of their environment")
    commands.add_parser("memory", help="resident memory over a thousand explanations")
    training = commands.add_parser("training", help="processor time to an accuracy, against Keras' tutorial")
    training.add_argument("--data", help="cats_vs_dogs in Hub layout; default: the Hub's")
    training.add_argument("--weights", default="imagenet", help="imagenet (Keras' own) or a file for the backbone")
    training.add_argument("--target", type=float, default=0.985, help="validation accuracy; default: 0.985")
    commands.add_parser("browser", help="the static Space: seconds to the evidence, frames a second with the camera")
    load = commands.add_parser("load", help="the app under 1, 4, 16 and 32 visitors who upload without a pause")
    load.add_argument("--seconds", type=float, default=120, help="for each number of visitors; default: 120")
    commands.add_parser("readme", help="write the README's tables from assets/")
    commands.add_parser("picture", help="take the README's picture of the app")
    mutants = commands.add_parser("mutation", help="which mutants of the explain engine its tests kill")
    mutants.add_argument(
        "wanted", nargs="*", metavar="FILE", help="explain/formulas.py, say, or mistakes; all by default"
    )
    asked = parser.parse_args(arguments)
    return status_of(lambda: _run(asked), (BenchmarkError,))


def _run(asked: argparse.Namespace) -> int:
    if asked.command == "speed":
        from benchmarks import speed

        return speed.main(asked.peers, asked.rounds)
    if asked.command == "peers":
        from benchmarks import agreement

        return agreement.main(asked.peers)
    if asked.command == "memory":
        from benchmarks import memory

        return memory.main()
    if asked.command == "training":
        from benchmarks import training

        return training.main(asked.data, asked.weights, asked.target)
    if asked.command == "browser":
        from benchmarks import browser

        return browser.main()
    if asked.command == "load":
        from benchmarks import load

        return load.main(asked.seconds)
    if asked.command == "picture":
        from benchmarks import picture

        return picture.main()
    if asked.command == "mutation":
        from benchmarks import mutation

        return mutation.main(asked.wanted)
    from benchmarks import readme

    return readme.main()


if __name__ == "__main__":
    sys.exit(main())
