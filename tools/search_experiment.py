"""Search for a keypoint backbone on synthetic people, and judge the search by trainings.

    python tools/search_experiment.py --output-dir runs/search --results-csv results/search.csv

A supernet is trained, an evolution scores candidates with it under a limit of multiply-adds, and
the winner and random architectures of the same cost are trained alone, from random weights:
Kendall's tau between both scores, drawn as correlation.png, and the winner against the median of
the others. Scores are COCO's AP of keypoints on people of another seed. What was interrupted is
resumed by the same command.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import keras
import numpy as np
import typer
from rich.console import Console

import keras_shufflenet as ks
from keras_shufflenet._results import append_row
from keras_shufflenet.search import costs
from keras_shufflenet.search.evolution import Evolution, evolve
from keras_shufflenet.search.plots import draw_correlation, kendall_tau
from keras_shufflenet.search.settings import SupernetSettings, open_evaluator
from keras_shufflenet.search.spaces import Architecture, SearchSpace, search_space
from keras_shufflenet.search.supernet_task import train_supernet
from keras_shufflenet.synthetic_people import create_dataset

PROGRAM = "python tools/search_experiment.py"
RENDERING: dict[str, Any] = {
    "image_size": (128, 128),
    "people_per_image": (1, 1),
    "difficulty": 0.0,
}
CLOSE = 0.97  # least cost of the random architectures, as a share of the limit
VALIDATION_SEED = 1
CORRELATION = "correlation.png"


def random_architectures(
    space: SearchSpace, count: int, limit: int, seed: int
) -> list[Architecture]:
    """Return different architectures whose multiply-adds are just below a limit."""
    rng = np.random.default_rng(seed)
    found: dict[Architecture, None] = {}
    while len(found) < count:
        architecture = space.random(rng)
        if CLOSE * limit <= space.macs(architecture) <= limit:
            found[architecture] = None
    return list(found)


def train_alone(
    settings: SupernetSettings, architecture: Architecture, epochs: int, directory: Path
) -> float:
    """Train a network from random weights, and return its AP."""
    own = replace(settings, changes={**settings.changes, "epochs": epochs})
    keras.utils.set_random_seed(own.seed)
    network = ks.PoseEstimator(
        f"{own.space}:{architecture}", head=own.head, input_size=own.input_size
    )
    task = own.make_task(network)
    log = ks.training.train(task, directory, val_interval=epochs, verbose=0)
    return float(log[-1]["AP"])


def main(
    results_csv: Annotated[Path, typer.Option(help="csv file to append a row to.")],
    output_dir: Annotated[Path, typer.Option(help="Folder of the trainings.")] = Path("runs"),
    people: Annotated[int, typer.Option(help="People to train on.")] = 600,
    val_people: Annotated[int, typer.Option(help="People to validate on.")] = 100,
    size: Annotated[int, typer.Option(help="Height and width of the crops.")] = 64,
    supernet_epochs: Annotated[int, typer.Option(help="Epochs of the supernet.")] = 24,
    epochs: Annotated[int, typer.Option(help="Epochs of a network alone.")] = 10,
    batch_size: Annotated[int, typer.Option(help="People per step.")] = 24,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 5e-3,
    generations: Annotated[int, typer.Option(help="Generations of the evolution.")] = 4,
    population: Annotated[int, typer.Option(help="Candidates of a generation.")] = 50,
    alone: Annotated[int, typer.Option(help="Random architectures trained alone.")] = 8,
    max_macs: Annotated[
        int, typer.Option(help="Limit of multiply-adds at 224 × 224.")
    ] = 330_000_000,
    workers: Annotated[int, typer.Option(help="Processes that score candidates.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """Search, and train what the search is judged by."""
    console, start, output_dir = Console(), time.monotonic(), output_dir.absolute()
    train, val = (
        create_dataset(output_dir / name, count, own, **RENDERING)
        for name, count, own in (
            ("people", people, 0),
            ("val_people", val_people, VALIDATION_SEED),
        )
    )
    settings = SupernetSettings(
        task="pose",
        data=str(train.annotations),
        image_dir=str(train.image_dir),
        val_data=str(val.annotations),
        val_image_dir=str(val.image_dir),
        input_size=(size, size),
        recipe="from_scratch",
        changes={
            "epochs": supernet_epochs,
            "batch_size": batch_size,
            "peak_learning_rate": learning_rate,
        },
        seed=seed,
    )
    folder, space = output_dir / "supernet", search_space(settings.space)
    settings.write(folder)
    log = train_supernet(
        settings.make_supernet_task(settings.make_supernet()),
        folder,
        val_interval=supernet_epochs,
    )
    supernet_seconds = time.monotonic() - start
    keras.backend.clear_session()
    console.print(f"supernet: AP {log[-1]['AP']:.3f} after {supernet_seconds:.0f} s")
    result = evolve(
        space,
        partial(open_evaluator, folder),
        output_dir / "evolution",
        [costs.macs(space, maximum=max_macs)],
        Evolution(
            population=population,
            generations=generations,
            mutations=population // 2,
            crossovers=population // 2,
            seed=seed,
        ),
        workers=workers,
    )
    search_seconds = time.monotonic() - start - supernet_seconds
    winner = result.best.architecture
    console.print(f"winner {winner} after {search_seconds:.0f} s: {result.best.score:.4f}")
    evaluator = open_evaluator(folder)
    random = random_architectures(space, alone, max_macs, seed)
    predicted = [evaluator(each) for each in (winner, *random)]
    keras.backend.clear_session()
    measured = []
    for architecture, score in zip((winner, *random), predicted, strict=True):
        directory = output_dir / "alone" / str(architecture)
        measured.append(train_alone(settings, architecture, epochs, directory))
        console.print(f"{architecture}: {score:.4f} in the supernet, {measured[-1]:.4f} alone")
        keras.backend.clear_session()
    tau, p_value = kendall_tau(predicted, measured)
    draw_correlation(predicted, measured, output_dir / CORRELATION)
    scored = [each.score for each in result.candidates if each.score is not None]
    row: dict[str, float | str] = {
        "space": space.name,
        "people": people,
        "val_people": val_people,
        "size": size,
        "batch_size": batch_size,
        "supernet_steps": log[-1]["epoch"] * (people // batch_size),
        "supernet_ap": log[-1]["AP"],
        "candidates": len(scored),
        "first_generation_best": max(scored[:population]),
        "best_score": max(scored),
        "winner": str(winner),
        "winner_macs": str(space.macs(winner)),
        "steps_alone": epochs * (people // batch_size),
        "architectures_alone": len(measured),
        "kendall_tau": tau,
        "p_value": p_value,
        "winner_ap": measured[0],
        "median_random_ap": median(measured[1:]),
        "best_random_ap": max(measured[1:]),
        "supernet_seconds": supernet_seconds,
        "search_seconds": search_seconds,
        "seconds": time.monotonic() - start,
    }
    append_row(results_csv, row, program=PROGRAM)


if __name__ == "__main__":
    typer.run(main)
