"""Ablation of what a pose estimator is trained with: short trainings that differ in one ingredient.

    python tools/ablate_pose.py --data data --labels labels --weights shufflenetv2_x1.pth
        --teacher simplepose.onnx --results-csv results/pose_ablation.csv

Every training has the same number of steps, from a backbone pretrained on ImageNet, and is scored
by COCO's AP with annotated boxes and flip test. `--data` holds `coco/`, `lspet/` and
`imagenet_val/` with their images, `--labels` what `keras-shufflenet label` wrote: labels_coco.json
and labels_imagenet.json (photographs), lspet_completed.json. Trainings that were interrupted are
resumed, and those with a row in the results file are left out.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import keras
import typer
from rich.console import Console

import keras_shufflenet as ks
from keras_shufflenet._results import append_row
from keras_shufflenet.synthetic_people import create_dataset
from keras_shufflenet.training import Teacher, recipes

PROGRAM = "python tools/ablate_pose.py"
BACKBONE, INPUT_SIZE = "shufflenet_v2_x1_0", (192, 128)
COCO, LABELS, COMPLETED, OWN, SYNTHETIC = "coco", "labels", "completed", "own", "synthetic"
SYNTHETIC_PEOPLE = 1200


@dataclass(frozen=True)
class Ingredients:
    """What a training is made of.

    Attributes:
        sources: How often each source of instances is seen in an epoch.
        teacher_weight: Share of the teacher in the targets; None for no teacher.
        head: Head of the network.
        pretrained: Whether the backbone has ImageNet's weights.
        recipe: Values of the recipe that differ from `recipes.distill`.
        seed: Seed of the training.
    """

    sources: dict[str, int] = field(default_factory=lambda: {COCO: 3, LABELS: 2, COMPLETED: 1})
    teacher_weight: float | None = 0.7
    head: str = "fpn"
    pretrained: bool = True
    recipe: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


ALL = Ingredients()
TRAININGS = {
    "all": ALL,
    "all, another seed": replace(ALL, seed=1),
    "no teacher": replace(ALL, teacher_weight=None),
    "targets of the teacher alone": replace(ALL, teacher_weight=1.0),
    "no persons of LSPET": replace(ALL, sources={COCO: 7, LABELS: 4}),
    "LSPET's own labels": replace(ALL, sources={COCO: 3, LABELS: 2, OWN: 1}),
    "LSPET's own labels, no teacher": replace(
        ALL, sources={COCO: 3, LABELS: 2, OWN: 1}, teacher_weight=None
    ),
    "no pseudo-labeled photographs": replace(ALL, sources={COCO: 4, COMPLETED: 1}),
    "synthetic people for repeats": replace(
        ALL, sources={COCO: 2, LABELS: 1, COMPLETED: 1, SYNTHETIC: 1}
    ),
    "weak augmentation": replace(ALL, recipe={"augmentation": recipes.WEAK_AUGMENTATION}),
    "no averages of the weights": replace(ALL, recipe={"ema_momentum": None}),
    "head light": replace(ALL, head="light"),
    "backbone without ImageNet": replace(ALL, pretrained=False),
}


def sources(ingredients: Ingredients, data: Path, labels: Path, run_dir: Path) -> list[Any]:
    """Return the annotation files and image folders of a training."""
    images = data / "coco" / "images"
    files = {
        COCO: [
            (data / "coco" / f"person_keypoints_{part}.json", images)
            for part in ("train", "train_extra")
        ],
        LABELS: [
            (labels / "labels_coco.json", images),
            (labels / "labels_imagenet.json", data / "imagenet_val" / "images"),
        ],
        COMPLETED: [(labels / "lspet_completed.json", data / "lspet" / "images")],
        OWN: [(data / "lspet" / "person_keypoints_train.json", data / "lspet" / "images")],
    }
    if SYNTHETIC in ingredients.sources:
        people = create_dataset(run_dir.parent / SYNTHETIC, SYNTHETIC_PEOPLE)
        files[SYNTHETIC] = [(people.annotations, people.image_dir)]
    return [pair for name, times in ingredients.sources.items() for pair in files[name] * times]


def finished(path: Path) -> set[str]:
    """Return the trainings with a row in the results file."""
    if not path.is_file():
        return set()
    with path.open(newline="") as file:
        return {row["training"] for row in csv.DictReader(file)}


def main(
    data: Annotated[Path, typer.Option(help="Folder of coco/, lspet/ and imagenet_val/.")],
    labels: Annotated[Path, typer.Option(help="Folder of the teachers' labels.")],
    weights: Annotated[Path, typer.Option(help="torchvision's ImageNet weights.")],
    teacher: Annotated[str, typer.Option(help="Trained pose estimator.")],
    results_csv: Annotated[Path, typer.Option(help="csv file to append rows to.")],
    output_dir: Annotated[Path, typer.Option(help="Folder of the trainings.")] = Path("runs"),
    steps: Annotated[int, typer.Option(help="Steps of each training.")] = 600,
    only: Annotated[list[str] | None, typer.Option(help="Trainings; all by default.")] = None,
) -> None:
    """Train with and without each ingredient."""
    console = Console()
    chosen: Sequence[str] = only or list(TRAININGS)
    unknown = set(chosen) - set(TRAININGS)
    if unknown:
        raise typer.BadParameter(
            f"--only must be among {', '.join(map(repr, TRAININGS))}. Received: {unknown}"
        )
    validation = data / "coco" / "person_keypoints_val.json", data / "coco" / "images"
    for name in chosen:
        if name in finished(results_csv):
            continue
        console.rule(name)
        ingredients = TRAININGS[name]
        run_dir = output_dir / name.replace(" ", "_").replace(",", "").replace("'", "")
        pairs = sources(ingredients, data, labels, run_dir)
        instances = len(ks.data.load_keypoint_dataset(*map(list, zip(*pairs, strict=True))))
        recipe = recipes.distill()
        epochs = max(1, round(steps * recipe.batch_size / instances))
        recipe = replace(recipe, epochs=epochs, **ingredients.recipe)
        keras.utils.set_random_seed(ingredients.seed)
        model = ks.PoseEstimator(
            BACKBONE,
            head=ingredients.head,
            input_size=INPUT_SIZE,
            backbone_weights=str(weights) if ingredients.pretrained else None,
        )
        weight = ingredients.teacher_weight
        log = ks.training.train_pose(
            model,
            pairs,
            run_dir,
            recipe,
            val_data=validation,
            teacher=None if weight is None else Teacher(teacher, weight),
            seed=ingredients.seed,
            val_interval=epochs,
            loggers=[],
        )
        row = {
            "training": name,
            "instances": instances,
            "epochs": epochs,
            "steps": epochs * ceil(instances / recipe.batch_size),
            "seconds": sum(epoch["seconds"] for epoch in log),
            "loss": log[-1]["loss"],
            **{metric: log[-1][metric] for metric in ("AP", "AP .5", "AP .75", "AR")},
        }
        append_row(results_csv, row, PROGRAM)
        console.print(row)


if __name__ == "__main__":
    typer.run(main)
