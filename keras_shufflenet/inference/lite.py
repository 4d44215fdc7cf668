"""Run an exported file on images, on a machine with NumPy, Pillow and ai-edge-litert only.

    python -m keras_shufflenet.inference.lite x1_0_int8.tflite cat.jpg
    python -m keras_shufflenet.inference.lite pose_int8.tflite photo.jpg --draw drawn

A classifier's file prints names, a pose estimator's the joints of the people in the boxes. What the
classes and joints are called and how heatmaps are decoded is in the file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_shufflenet.inference.classification import ImageClassifier
from keras_shufflenet.inference.pose import PosePredictor, predict_pose
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.inference.visualization import draw_skeletons

DRAWN_SCORE = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake ends in one line on stderr.

    Args:
        arguments: words after the command's name; those of the process by default.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"Error: {' '.join(str(error).split())}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m keras_shufflenet.inference.lite",
        description="Name what images show, or find people's joints in them.",
    )
    parser.add_argument("model", type=Path, metavar="FILE.tflite")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--threads", type=int, help="of the interpreter; by default up to four")
    parser.add_argument("--top", type=int, default=5, help="classes per image")
    parser.add_argument(
        "--box",
        type=_box,
        action="append",
        metavar="X,Y,WIDTH,HEIGHT",
        help="a person, in pixels; may be repeated; by default the whole image is one",
    )
    parser.add_argument(
        "--flip-test", action="store_true", help="average with the mirrored image: twice the time"
    )
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="write skeletons as NAME.png")
    return parser


def _box(text: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"a box is x,y,width,height. Received: {text}")
    return numbers


def _run(options: argparse.Namespace) -> None:
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"--threads must be at least 1. Received: {options.threads}")
    if options.model.suffix != ".tflite":
        raise ValueError(f"The model must be a .tflite file. Received: {options.model}")
    if options.draw is not None:
        _make_folder(options.draw)
        _check_names(options.images)
    predictor = Predictor.load(options.model, num_threads=options.threads)
    if len(predictor.output_shape) == 1:
        if options.draw is not None or options.box:
            raise ValueError(f"--box and --draw are for pose estimators. Received: {options.model}")
        _classify(ImageClassifier.load(predictor), options)
    else:
        _find_joints(PosePredictor.load(predictor, flip_test=options.flip_test), options)


def _classify(classifier: ImageClassifier, options: argparse.Namespace) -> None:
    for path in options.images:
        print(path)
        for name, score in classifier.predict(path, options.top):
            print(f"  {score:.3f}  {name}")


def _find_joints(estimator: PosePredictor, options: argparse.Namespace) -> None:
    for path in options.images:
        people = predict_pose(estimator, path, options.box)
        for number, person in enumerate(people, start=1):
            print(f"{path} person {number}")
            for joint, (x, y, score) in zip(estimator.skeleton.keypoint_names, person, strict=True):
                print(f"  {score:.3f}  {joint}  {x:.1f} {y:.1f}")
        if options.draw:
            _draw(estimator, path, people, options.draw)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--draw needs a folder to write to. Received: {folder}") from error


def _check_names(images: Sequence[Path]) -> None:
    if len({path.stem for path in images}) != len(images):
        raise ValueError(
            "--draw writes NAME.png, so images must differ in name. "
            f"Received: {', '.join(map(str, images))}"
        )


def _draw(estimator: PosePredictor, path: Path, people: np.ndarray, folder: Path) -> None:
    drawn = draw_skeletons(path, people, estimator.skeleton, DRAWN_SCORE)
    Image.fromarray(drawn).save(folder / f"{path.stem}.png")


if __name__ == "__main__":
    raise SystemExit(main())
