"""`python -m training`: list the recipes, choose rates, train, evaluate."""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from models import CHECKPOINTS, ModelError, load
from models.card import Card
from models.command import status_of
from models.quiet import import_keras
from models.store import resolve
from training import progress, recipes, tables
from training.cache import GIGABYTE, MOST, Cache
from training.recipe import Recipe, TrainingError
from training.setup import Setup

MOST_LISTED = 12
"""Runs of a study that `list` prints unless it is asked for that study."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    asked = _parser().parse_args(arguments)
    progress.log()
    return status_of(lambda: asked.run(asked), (TrainingError, ModelError), asked.kept)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.set_defaults(kept="")
    again = "; what was finished is kept, and the same command goes on"
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the recipes, their runs and results")
    listing.add_argument("task", metavar="TASK", nargs="?", help="default: all, without the runs of large studies")
    listing.set_defaults(run=_list)

    train = commands.add_parser("train", help="train a run and write its checkpoint")
    train.add_argument("name", metavar="TASK/RUN")
    train.add_argument("--data", help="folder or hf://datasets/...; default: the recipe's data set on the Hub")
    train.add_argument("--weights", default="imagenet", help="imagenet (Keras' own) or a file for the backbone")
    train.add_argument("--seed", type=int, help="default: the run's own")
    train.add_argument("--epochs", type=int, help="default: the recipe's")
    train.add_argument("--resume", action="store_true", help="go on after the last finished epoch")
    train.add_argument("--out", type=Path, help="default: assets/checkpoints/TASK/RUN")
    train.add_argument("--mixed", action="store_true", help="compute in bfloat16, for devices that are fast in it")
    train.add_argument("--devices", choices=("one", "all"), default="one", help="all: each has its share of a batch")
    train.add_argument("--logs", type=Path, metavar="DIR", help="folder for TensorBoard")
    train.add_argument(
        "--cache-gb", type=gigabytes, default=MOST / GIGABYTE, help="disk for the output of frozen layers"
    )
    train.set_defaults(run=_train, kept="; the epochs that were finished are kept, and --resume goes on from there")

    tune = commands.add_parser("tune", help="compare a run's learning rates on the validation split")
    tune.add_argument("name", metavar="TASK/RUN")
    tune.add_argument("--data", help="as in train")
    tune.add_argument("--weights", default="imagenet", help="as in train")
    tune.add_argument("--epochs", type=int, default=1, help="epochs for each rate")
    tune.add_argument("--steps", type=positive, help="steps of such an epoch; default: the run's own")
    tune.add_argument("--mixed", action="store_true", help="as in train")
    tune.set_defaults(run=_tune, kept=again)

    evaluate = commands.add_parser("evaluate", help="accuracy of a run on a split")
    evaluate.add_argument("name", metavar="TASK/RUN")
    evaluate.add_argument("--data", required=True, help="Hub layout, or a folder of class folders")
    evaluate.add_argument("--split", help="train, validation or test")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON")
    evaluate.add_argument("--save", action="store_true", help="write the result to the run's card")
    evaluate.set_defaults(run=_evaluate)

    search = commands.add_parser("search", help="try hyperparameters at random; the same command goes on")
    search.add_argument("task", metavar="TASK")
    search.add_argument("--data", help="as in train")
    search.add_argument("--trials", type=int, default=20, help="all together; default: 20")
    search.add_argument(
        "--out", type=Path, help="folder for the trials and their table; default: runs/TASK_search and the study"
    )
    search.set_defaults(run=_search, kept=again)

    sweep = commands.add_parser("sweep", help="train many runs of a study, each in its own process, for its table")
    sweep.add_argument("task", metavar="TASK")
    sweep.add_argument("--runs", nargs="+", default=[], metavar="NAME", help='names, with *: "b*"; default: all')
    sweep.add_argument("--data", help="as in train")
    sweep.add_argument("--weights", default="imagenet", help="as in train")
    sweep.add_argument("--epochs", type=int, help="as in train")
    sweep.add_argument("--test", action="store_true", help="evaluate each run on the test split too")
    sweep.add_argument("--out", type=Path, help="folder of the studies; default: assets/studies")
    sweep.set_defaults(run=_sweep, kept=again)

    pack = commands.add_parser("pack", help="write a split as TFRecord shards, for what does not fit in memory")
    pack.add_argument("task", metavar="TASK")
    pack.add_argument("--data", help="as in train")
    pack.add_argument("--split", required=True, help="train, validation or test")
    pack.add_argument("--out", type=Path, required=True, help="folder for the shards; name it as --data of train")
    pack.add_argument("--shard-size", type=int, default=2048, metavar="N", help="pictures in a shard; default: 2048")
    pack.set_defaults(run=_pack)

    study = commands.add_parser("study", help="write a study's table, curves and note from its trained runs")
    study.add_argument("task", metavar="TASK")
    study.set_defaults(run=_study)

    errors = commands.add_parser(
        "errors", help="what the shipped runs of a task get wrong, written for the Errors page"
    )
    errors.add_argument("task", metavar="TASK")
    errors.add_argument("--data", required=True, help="as in evaluate")
    errors.add_argument("--split", default="test", help="default: test")
    errors.add_argument("--out", type=Path, help="default: assets/studies/TASK_errors")
    errors.set_defaults(run=_errors)
    return parser


def gigabytes(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError("a number of gigabytes, 0 for none")
    return value


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 on")
    return value


def _list(asked: argparse.Namespace) -> int:
    from training.studies import comparable, results

    for task in [asked.task] if asked.task else recipes.names():
        recipe = recipes.find(task)
        found = {one.run: one for one in results(recipe, CHECKPOINTS, tables.STUDIES)}
        classes = f"{len(recipe.labels)} classes" if recipe.labels else "the data's own classes"
        print(
            f"{task}  {recipe.architecture}, {classes}, {recipe.input_size} px, {recipe.epochs} epochs of "
            + (recipe.hub or "your own pictures")
        )
        if recipe.original:
            print(f"  original: {recipe.original}")
        judged = [one for one in comparable(recipe, [*found.values()]) if one.split("validation", "n")]
        best = max(judged, key=lambda one: one.split("validation", "accuracy"), default=None)
        nothing = "nothing on its own classes yet" if found else "nothing trained yet"
        print(f"  ours: {f'{_accuracies(best.card)} by {best.run}' if best else nothing}")
        many = len(recipe.plans) > MOST_LISTED and not asked.task
        for run, plan in recipe.plans.items():
            if run in found or not many:
                said = _accuracies(found[run].card) if run in found else "not trained yet"
                chosen = plan.optimizer
                print(f"  {task}/{run:<12} {chosen.name:<5} {chosen.rate:<8g} seed {plan.seed}  {said}")
        if many:
            left = len(recipe.plans) - len(found)
            print(f"  and {left} more, not trained yet: `python -m training list {task}` names them")
    return 0


def _accuracies(card: Card) -> str:
    return ", ".join(
        f"{split} accuracy {found['accuracy']:.4f} (n {found['n']})"
        for split, found in card.results.items()
        if "n" in found
    )


def _source(asked: argparse.Namespace, recipe: Recipe) -> str:
    """The data that are asked for, or the recipe's own."""
    if not asked.data and not recipe.hub:
        raise TrainingError(
            f"The recipe of {recipe.task} names no data set on the Hub: name your pictures with --data."
        )
    return asked.data or f"hf://datasets/{recipe.hub}"


def _train(asked: argparse.Namespace) -> int:
    recipe, run, plan = recipes.find_plan(asked.name)
    import_keras()
    from training.loop import train

    if asked.seed is not None:
        plan = replace(plan, seed=asked.seed)
    out = asked.out or CHECKPOINTS / recipe.task / run
    train(
        recipe,
        run,
        plan,
        _source(asked, recipe),
        asked.weights,
        out,
        asked.epochs,
        asked.resume,
        _say,
        Setup(Cache(most=int(asked.cache_gb * GIGABYTE)), asked.mixed, asked.devices == "all", asked.logs),
    )
    print(f"written to {out}")
    return 0


def _tune(asked: argparse.Namespace) -> int:
    recipe, run, plan = recipes.find_plan(asked.name)
    import_keras()
    from training.tune import table_of, tune

    rows = tune(
        recipe,
        run,
        plan,
        _source(asked, recipe),
        asked.weights,
        asked.epochs,
        asked.steps,
        _say,
        Setup(mixed=asked.mixed),
    )
    print(f"best: {rows[0]['learning_rate']} (validation loss {rows[0]['val_loss']}); all in {table_of(recipe.task)}")
    return 0


def _evaluate(asked: argparse.Namespace) -> int:
    place = resolve(asked.name)
    import_keras()
    from training.evaluate import evaluate, load_for

    run = load(place)
    split = load_for(run.card, asked.data, asked.split)
    found = evaluate(run.model, split, run.card).summary()
    if asked.save:
        if not (place / "card.json").is_file():
            raise ModelError(f"{asked.name} has no card to write to; leave out --save.")
        # Another split may have been evaluated meanwhile.
        card = Card.read(place / "card.json")
        results = card.results | {asked.split or "folder": found | {"sha256": split.sha256}}
        replace(card, results=results).write(place / "card.json")
    if asked.json:
        print(json.dumps(found))
    else:
        print(
            "  ".join(
                f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
            )
        )
    return 0


def _search(asked: argparse.Namespace) -> int:
    recipe = recipes.find(asked.task)
    import_keras()
    from training.search import search, table_of

    out = asked.out or Path("runs") / f"{recipe.task}_search"
    table = asked.out / "search.csv" if asked.out else table_of(recipe.task)
    search(recipe, _source(asked, recipe), asked.trials, out, table, _say)
    print(f"written to {table}")
    return 0


def _sweep(asked: argparse.Namespace) -> int:
    recipe = recipes.find(asked.task)
    from training.sweep import sweep

    source, out = _source(asked, recipe), asked.out or tables.STUDIES
    failed = sweep(recipe, asked.runs, source, asked.weights, CHECKPOINTS, out, asked.epochs, asked.test, say=_say)
    print(f"written to {out / recipe.task}" + (f"; {len(failed)} runs failed" if failed else ""))
    return 2 if failed else 0


def _study(asked: argparse.Namespace) -> int:
    from training.studies import write

    print(f"written to {write(recipes.find(asked.task), CHECKPOINTS, tables.STUDIES)}")
    return 0


def _pack(asked: argparse.Namespace) -> int:
    recipe = recipes.find(asked.task)
    import_keras()
    from training.records import pack

    pack(recipe, _source(asked, recipe), asked.split, asked.out, asked.shard_size, _say)
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
