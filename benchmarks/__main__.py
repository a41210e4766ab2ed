"""`python -m benchmarks`: the figures in the README, each one a command."""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenBLAS threads go on spinning after a product and would take the second core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("speed", help="one photograph explained, against plain forwards and other libraries")
    commands.add_parser("readme", help="write the README's tables from assets/")
    commands.add_parser("picture", help="take the README's picture of the app")
    mutants = commands.add_parser("mutation", help="which mutants of the explain engine its tests kill")
    mutants.add_argument(
        "wanted", nargs="*", metavar="FILE", help="explain/formulas.py, say, or mistakes; all by default"
    )
    asked = parser.parse_args(arguments)
    if asked.command == "speed":
        from benchmarks import speed

        return speed.main()
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
