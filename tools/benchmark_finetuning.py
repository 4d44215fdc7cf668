"""Fine-tune ShuffleNetV2 on photographs of ImageNet in coarse classes, here and in PyTorch.

    python tools/benchmark_finetuning.py --data imagenet_val --weights shufflenetv2_x1.pth
        --classes 5 --results-csv results/finetuning.csv

Accuracy on a held-out third: of `keras-shufflenet train classify` with its defaults, and of the
same network, weights, images, crops and number of steps in PyTorch, with the optimizers of
PyTorch's tutorial on transfer learning and of torchvision's reference script. Time of a training
step of AdamW in float32 on one batch: each framework in a process of its own, in turn.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf
import torch
import typer
from rich.console import Console

import keras_shufflenet as ks
from finetuning_steps import step_times
from keras_shufflenet._results import append_row
from keras_shufflenet.metrics.imagenet import count_correct
from keras_shufflenet.training import ClassificationTask, classification_recipes
from keras_shufflenet.training.callbacks import read_log
from torch_shufflenet import as_torch, pretrained, torch_step

PROGRAM = "python tools/benchmark_finetuning.py"
NETWORK, LAYOUT = "shufflenet_v2_x1_0", "torchvision/shufflenet_v2"
SPLIT = 1 / 3

Ranges = tuple[tuple[int, int], ...]

# Indices of ImageNet's classes, first and last.
COARSE: dict[str, Ranges] = {
    "dog": ((151, 268),),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "insect or spider": ((70, 79), (300, 326)),
    "food": ((924, 969),),
    "vehicle": tuple(
        (index, index)
        for index in (
            *(407, 408, 436, 444, 466, 468, 511, 547, 555, 561, 565, 569, 573, 575, 586, 609, 627),
            *(654, 656, 661, 665, 670, 671, 675, 705, 717, 734, 751, 757, 779, 803, 817, 820, 829),
            *(847, 864, 866, 867, 870, 874, 880),
        )
    ),
    "reptile": ((25, 68),),
    "cat": ((281, 293),),
    "wild carnivore": ((269, 280), (294, 299), (356, 363)),
    "primate": ((365, 384),),
    "hoofed animal": ((339, 355), (385, 386)),
    "rodent": ((330, 338),),
    "fish": ((0, 6), (389, 397)),
    "sea animal": ((107, 126), (147, 150), (327, 329)),
    "boat": tuple(
        (index, index)
        for index in (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914)
    ),
    "instrument": tuple(
        (index, index)
        for index in (
            *(401, 402, 420, 432, 486, 494, 513, 541, 546, 558, 566, 577, 579, 593, 594, 642, 683),
            *(684, 687, 699, 776, 822, 875, 881, 889),
        )
    ),
    "furniture": tuple(
        (index, index)
        for index in (
            *(423, 431, 453, 493, 495, 516, 520, 526, 532, 548, 559, 564, 648, 703, 736, 765, 831),
            *(846, 857, 861, 894),
        )
    ),
    "clothing": tuple(
        (index, index)
        for index in (
            *(399, 411, 414, 439, 445, 452, 457, 459, 474, 496, 501, 514, 515, 533, 568, 578, 601),
            *(608, 610, 614, 617, 630, 638, 639, 652, 655, 658, 667, 689, 697, 735, 748, 770, 774),
            *(775, 785, 793, 806, 808, 834, 841, 842, 854, 869, 883, 887, 903, 906, 911),
        )
    ),
    "building": tuple(
        (index, index)
        for index in (
            *(410, 425, 437, 442, 449, 454, 467, 483, 497, 498, 500, 509, 525, 536, 538, 540, 562),
            *(580, 582, 624, 634, 660, 663, 668, 682, 698, 716, 718, 727, 743, 762, 781, 788, 819),
            *(821, 825, 832, 839, 853, 858, 873, 884, 888, 900, 915),
        )
    ),
    "electronics": tuple(
        (index, index)
        for index in (
            *(413, 475, 481, 482, 485, 487, 508, 527, 528, 590, 592, 605, 613, 620, 632, 650, 662),
            *(664, 673, 681, 688, 707, 713, 732, 742, 745, 754, 760, 782, 810, 811, 818, 844, 848),
            *(851, 859, 878, 886, 897),
        )
    ),
    "sport": tuple(
        (index, index)
        for index in (416, 422, 430, 522, 543, 702, 722, 746, 752, 768, 795, 801, 805, 852, 890)
    ),
}


def coarse_dataset(data: Path, count: int) -> ks.data.ClassificationDataset:
    """Return the photographs of the first coarse classes."""
    images = ks.data.load_classification_dataset(data)
    names = tuple(COARSE)[:count]
    table = np.full(1000, -1)
    for number, name in enumerate(names):
        for first, last in COARSE[name]:
            table[first : last + 1] = number
    classes = table[images.classes]
    kept = classes >= 0
    return ks.data.ClassificationDataset(images.paths[kept], classes[kept], names, images.report)


def train_torch(
    state: dict[str, np.ndarray],
    parts: tuple[ks.data.ClassificationDataset, ks.data.ClassificationDataset],
    size: int,
    steps: int,
    batch_size: int,
    *,
    reference: bool,
) -> float:
    """Train in PyTorch, and return the accuracy at the end.

    Args:
        state: The pretrained weights.
        parts: Images to train on and to validate on.
        size: Side of the crops.
        steps: Number of steps.
        batch_size: Images per step.
        reference: Whether rates are those of torchvision's reference script, scaled to the batch
            (SGD 0.5 for 1024, cosine), or of PyTorch's tutorial (0.001, divided by 10 at each 7
            of 25 epochs).
    """
    torch.manual_seed(0)
    network = pretrained(state, parts[0].num_classes)
    rate = 0.5 * batch_size / 1024 if reference else 1e-3
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    schedule: Any = torch.optim.lr_scheduler.StepLR(optimizer, max(1, steps * 7 // 25))
    if reference:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = parts[0].batches(crop_size=size, training=True, batch_size=batch_size)
    network.train()
    for images, true in batches.take(steps).as_numpy_iterator():
        torch_step(network, optimizer, as_torch(images), torch.from_numpy(np.array(true)))
        schedule.step()
    return torch_accuracy(network.eval(), parts[1].batches(crop_size=size))


@torch.no_grad()
def torch_accuracy(network: torch.nn.Module, batches: tf.data.Dataset) -> float:
    """Return the share of images whose class has the highest score."""
    correct = total = 0
    for images, true in batches.as_numpy_iterator():
        correct += count_correct(network(as_torch(images)).numpy(), true, 1)
        total += len(true)
    return correct / total


def train_keras(
    dataset: ks.data.ClassificationDataset, weights: str, size: int, options: list[str]
) -> float:
    """Run `keras-shufflenet train classify`, and return the accuracy at the end."""
    with TemporaryDirectory() as folder:
        labels, names = Path(folder) / "labels.csv", Path(folder) / "names.txt"
        dataset.write_csv(labels)
        names.write_text("\n".join(dataset.class_names) + "\n")
        command = [sys.executable, "-m", "keras_shufflenet", "train", "classify", NETWORK]
        command += ["--data", str(labels), "--labels", str(names), "--val-split", f"{SPLIT}"]
        command += ["--weights", weights, "--input-size", f"{size}x{size}"]
        command += ["--output-dir", f"{folder}/run", "--logger", "csv", *options]
        subprocess.run(command, check=True)
        return read_log(Path(folder) / "run" / "log.csv")[-1]["val_accuracy"]


def restored(
    weights: str, dataset: ks.data.ClassificationDataset, size: int, recipe: Any
) -> ClassificationTask:
    """Return the training of the pretrained network, with batch normalizations that train."""
    keras.utils.set_random_seed(0)
    shape = (size, size, 3)
    model = ks.create_model(
        NETWORK, classes=list(dataset.class_names), input_shape=shape, weights=weights
    )
    task = ClassificationTask(model, dataset, recipe)
    task.prepare()
    return task


def main(
    data: Annotated[Path, typer.Option(exists=True, help="ImageNet photographs with labels.csv.")],
    weights: Annotated[str, typer.Option(help="Checkpoint of torchvision's x1.0.")],
    classes: Annotated[int, typer.Option(min=2, max=len(COARSE))] = 5,
    size: Annotated[int, typer.Option(min=32, help="Side of the crops in pixels.")] = 160,
    epochs: Annotated[int, typer.Option(min=1)] = 15,
    frozen_epochs: Annotated[int, typer.Option(min=0)] = 5,
    iterations: Annotated[int, typer.Option(min=1, help="Timed steps of each.")] = 20,
    state_of_machine: Annotated[str, typer.Option(help="Note on other load.")] = "",
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append to.")] = None,
) -> None:
    """Measure accuracies and step times, and append a row."""
    dataset = coarse_dataset(data, classes)
    parts = dataset.split(SPLIT)
    recipe = classification_recipes.finetune(epochs)
    task = restored(weights, parts[0], size, recipe)
    state = ks.weights.state_dict(task.model, LAYOUT)
    steps = (epochs + frozen_epochs) * task.steps_per_epoch
    times = step_times(task, state, next(_numpy(parts[0], size)), iterations)
    arguments = (state, parts, size, steps, recipe.batch_size)
    row: dict[str, float | str] = {
        "classes": classes,
        "images": len(parts[0]),
        "val_images": len(parts[1]),
        "size": size,
        "batch_size": recipe.batch_size,
        "steps": steps,
        "accuracy": train_keras(
            dataset, weights, size, [f"--epochs={epochs}", f"--frozen-epochs={frozen_epochs}"]
        ),
        "accuracy_torch_tutorial": train_torch(*arguments, reference=False),
        "accuracy_torch_reference": train_torch(*arguments, reference=True),
        "step_ms": times["keras"].median,
        "step_ms_torch": times["torch"].median,
        "ratio": times["torch"].median / times["keras"].median,
        "machine": state_of_machine,
    }
    Console().print(row)
    if results_csv is not None:
        append_row(results_csv, row, PROGRAM)


def _numpy(dataset: ks.data.ClassificationDataset, size: int) -> Iterator[Any]:
    yield from dataset.batches(crop_size=size, training=True, batch_size=16).as_numpy_iterator()


if __name__ == "__main__":
    typer.run(main)
