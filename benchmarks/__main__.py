"""`python -m benchmarks`: the figures in the README, each one a command."""

import argparse
import os
import sys
from importlib import import_module

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenBLAS threads go on spinning after a product and would take the second core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.errors import BenchmarkError
from models.command import status_of


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="module", required=True, metavar="COMMAND")
    speeds = commands.add_parser("speed", help="one photograph explained, against plain forwards and other libraries")
    speeds.add_argument("--peers", dest="python", metavar="PYTHON", help="that of the other libraries' environment")
    speeds.add_argument("--rounds", type=int, default=20, metavar="N", help="turns of every case; default: 20")
    peers = commands.add_parser("peers", help="Grad-CAM against other libraries' on the same weights")
    peers.add_argument("--peers", dest="python", metavar="PYTHON", required=True, help="that of their environment")
    peers.set_defaults(module="agreement")
    commands.add_parser("memory", help="resident memory over a thousand explanations")
    training = commands.add_parser("training", help="processor time to an accuracy, against Keras' tutorial")
    training.add_argument("--data", dest="source", help="cats_vs_dogs in Hub layout; default: the Hub's")
    training.add_argument("--weights", default="imagenet", help="imagenet (Keras' own) or a file for the backbone")
    training.add_argument("--target", type=float, default=0.985, help="validation accuracy; default: 0.985")
    commands.add_parser("browser", help="the static Space: seconds to the evidence, frames a second with the camera")
    load = commands.add_parser("load", help="the app under 1, 4, 16 and 32 visitors who upload without a pause")
    load.add_argument("--seconds", type=float, default=120, help="for each number of visitors; default: 120")
    start = commands.add_parser("start", help="a first start, and one that finds its networks written down")
    start.add_argument("--rounds", type=int, default=5, metavar="N", help="of both; default: 5")
    commands.add_parser("readme", help="write the README's tables from assets/")
    commands.add_parser("picture", help="take the README's picture of the app")
    mutants = commands.add_parser("mutation", help="which mutants of the explain engine its tests kill")
    mutants.add_argument(
        "wanted", nargs="*", metavar="FILE", help="explain/formulas.py, say, or mistakes; all by default"
    )
    asked = vars(parser.parse_args(arguments))
    module = asked.pop("module")
    return status_of(lambda: import_module(f"benchmarks.{module}").main(**asked), (BenchmarkError,))


if __name__ == "__main__":
    sys.exit(main())
