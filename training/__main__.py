"""`python -m training`: list the recipes, choose rates, train, evaluate."""

import argparse
import json
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from models import CHECKPOINTS, ModelError, load
from models.card import Card
from models.quiet import import_keras
from models.store import resolve
from training import data, recipes, tables
from training.recipe import TrainingError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return asked.run(asked)
    except (TrainingError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or 'A file'} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the epochs that were finished are kept, and --resume goes on from there.", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="the recipes, their runs and results").set_defaults(run=_list)

    train = commands.add_parser("train", help="train a run and write its checkpoint")
    train.add_argument("name", metavar="TASK/RUN")
    train.add_argument("--data", help="folder or hf://datasets/...; default: the recipe's data set on the Hub")
    train.add_argument("--weights", default="imagenet", help="imagenet (Keras' own) or a file for the backbone")
    train.add_argument("--seed", type=int, help="default: the run's own")
    train.add_argument("--epochs", type=int, help="default: the recipe's")
    train.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    train.add_argument("--out", type=Path, help="default: assets/checkpoints/TASK/RUN")
    train.set_defaults(run=_train)

    tune = commands.add_parser("tune", help="compare a run's learning rates on the validation split")
    tune.add_argument("name", metavar="TASK/RUN")
    tune.add_argument("--data", help="as in train")
    tune.add_argument("--weights", default="imagenet", help="as in train")
    tune.add_argument("--epochs", type=int, default=1, help="epochs for each rate")
    tune.set_defaults(run=_tune)

    evaluate = commands.add_parser("evaluate", help="accuracy of a run on a split")
    evaluate.add_argument("name", metavar="TASK/RUN")
    evaluate.add_argument("--data", required=True, help="Hub layout, or a folder of class folders")
    evaluate.add_argument("--split", help="train, validation or test")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON")
    evaluate.add_argument("--save", action="store_true", help="write the result to the run's card")
    evaluate.set_defaults(run=_evaluate)

    errors = commands.add_parser(
        "errors", help="what the shipped runs of a task get wrong, written for the Errors page"
    )
    errors.add_argument("task", metavar="TASK")
    errors.add_argument("--data", required=True, help="as in evaluate")
    errors.add_argument("--split", default="test", help="default: test")
    errors.add_argument("--out", type=Path, help="default: assets/studies/TASK_errors")
    errors.set_defaults(run=_errors)
    return parser


def _list(_: argparse.Namespace) -> int:
    for task in recipes.names():
        recipe = recipes.find(task)
        print(
            f"{task}  {recipe.architecture}, {len(recipe.labels)} classes, {recipe.input_size} px, "
            f"{recipe.epochs} epochs of {recipe.hub}\n  original: {recipe.original}"
        )
        for run, plan in recipe.plans.items():
            print(
                f"  {task}/{run:<12} {plan.optimizer.name:<5} {plan.optimizer.rate:<8g} seed {plan.seed}  "
                f"{_result(task, run)}"
            )
    return 0


def _result(task: str, run: str) -> str:
    try:
        results = Card.read(CHECKPOINTS / task / run / "card.json").results
    except ModelError:
        return "not trained yet"
    return ", ".join(
        f"{split} accuracy {found['accuracy']:.4f} (n {found['n']})" for split, found in results.items() if "n" in found
    )


def _train(asked: argparse.Namespace) -> int:
    recipe, run, plan = recipes.find_plan(asked.name)
    import_keras()
    from training.loop import train

    if asked.seed is not None:
        plan = replace(plan, seed=asked.seed)
    train(
        recipe,
        run,
        plan,
        asked.data or f"hf://datasets/{recipe.hub}",
        asked.weights,
        asked.out or CHECKPOINTS / recipe.task / run,
        asked.epochs,
        asked.resume,
        say=_say,
    )
    return 0


def _tune(asked: argparse.Namespace) -> int:
    recipe, run, plan = recipes.find_plan(asked.name)
    import_keras()
    from training.tune import table_of, tune

    rows = tune(recipe, run, plan, asked.data or f"hf://datasets/{recipe.hub}", asked.weights, asked.epochs, _say)
    print(f"best: {rows[0]['learning_rate']} (validation loss {rows[0]['val_loss']}); all in {table_of(recipe.task)}")
    return 0


def _evaluate(asked: argparse.Namespace) -> int:
    place = resolve(asked.name)
    import_keras()
    from training.evaluate import evaluate

    run = load(place)
    seen = run.card.preprocessing
    size = seen.get("source_size") or run.input_size
    split = data.load(asked.data, asked.split, run.labels, size, seen.get("fit", "crop"))
    found = evaluate(run.model, split, run.card).summary()
    if asked.save:
        if not (place / "card.json").is_file():
            raise ModelError(f"{asked.name} has no card to write to; leave out --save.")
        results = run.card.results | {asked.split or "folder": found | {"sha256": split.sha256}}
        replace(run.card, results=results).write(place / "card.json")
    if asked.json:
        print(json.dumps(found))
    else:
        print(
            "  ".join(
                f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
            )
        )
    return 0


def _errors(asked: argparse.Namespace) -> int:
    import_keras()
    from training.errors import analyse

    out = asked.out or tables.STUDIES / f"{asked.task}_errors"
    found = analyse(asked.task, asked.data, asked.split, out, CHECKPOINTS, _say)
    print(f"both wrong {found['both_wrong']}, one wrong {found['one_wrong']} of {found['n']}; all in {out}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
