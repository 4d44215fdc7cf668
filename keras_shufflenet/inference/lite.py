"""Run an exported file on images, on a machine with NumPy, Pillow and ai-edge-litert only.

    python -m keras_shufflenet.inference.lite x1_0_int8.tflite cat.jpg
    python -m keras_shufflenet.inference.lite detector_int8.tflite photo.jpg
    python -m keras_shufflenet.inference.lite pose_int8.tflite photo.jpg --output-dir predictions \
        --detector detector_int8.tflite

A classifier prints class names, a detector boxes, a pose estimator the keypoints of the persons in
boxes, which the detector finds or --bbox says. Names, the decoding of boxes and the codec of the
heatmaps are read from the files. Of a file with several outputs, such as a feature extractor,
shapes and ranges are printed, and the arrays are written with --output-dir.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_shufflenet.data.resizing import eval_transform
from keras_shufflenet.inference.classification import ImageClassifier
from keras_shufflenet.inference.detection import PREDICTION_IOU_THRESHOLD, Detector
from keras_shufflenet.inference.image_io import to_pillow, with_channels
from keras_shufflenet.inference.pose import PosePredictor, predict_pose
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.inference.visualization import draw_detections, draw_skeletons

KEYPOINT_THRESHOLD = 0.3
SCORE_THRESHOLD = 0.35  # of detections


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake ends in one line on stderr.

    Args:
        arguments: Command-line arguments. Defaults to those of the process.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ValueError, OSError, ImportError) as error:
        message = " ".join(str(error).replace("`bboxes`", "--bbox").split())
        sys.stderr.write(f"Error: {message}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m keras_shufflenet.inference.lite",
        description="Classify images, detect objects in them, or predict the keypoints of persons.",
    )
    parser.add_argument("model", type=Path, metavar="FILE.tflite")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--num-threads",
        type=int,
        help="threads of the interpreter; default: one per core, at most 4",
    )
    parser.add_argument("--top", type=int, default=5, help="number of classes to print")
    parser.add_argument(
        "--bbox",
        type=_bbox,
        action="append",
        metavar="X,Y,WIDTH,HEIGHT",
        help="bounding box of a person in pixels; may be repeated; default: the persons that the "
        "detector finds, or without one the whole image",
    )
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="FILE.tflite",
        help="detector of the persons for a pose estimator",
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=SCORE_THRESHOLD,
        help="minimum score of a detection",
    )
    parser.add_argument(
        "--flip-test",
        action="store_true",
        help="average with the mirrored image; takes twice the time",
    )
    parser.add_argument(
        "--keypoint-threshold",
        type=float,
        default=KEYPOINT_THRESHOLD,
        help="minimum keypoint score to draw",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="FOLDER",
        help="write images with skeletons or boxes as NAME.png, or several outputs as NAME.npz",
    )
    return parser


def _bbox(text: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"a box is x,y,width,height. Received: {text}")
    return numbers


def _run(options: argparse.Namespace) -> None:
    if options.num_threads is not None and options.num_threads < 1:
        raise ValueError(f"--num-threads must be at least 1. Received: {options.num_threads}")
    for option, threshold in (
        ("--keypoint-threshold", options.keypoint_threshold),
        ("--score-threshold", options.score_threshold),
    ):
        if not 0 <= threshold <= 1:
            raise ValueError(f"{option} must be between 0 and 1. Received: {threshold}")
    for what, path in (("The model", options.model), ("--detector", options.detector)):
        if path is not None and path.suffix != ".tflite":
            raise ValueError(f"{what} must be a .tflite file. Received: {path}")
    if options.output_dir is not None:
        _make_folder(options.output_dir)
        _check_names(options.images)
    predictor = Predictor.load(options.model, num_threads=options.num_threads)
    shapes = list(predictor.output_shapes.values())
    estimates_pose = len(shapes) == 1 and len(shapes[0]) == 3
    if not estimates_pose and (options.bbox or options.detector):
        raise ValueError(
            f"--bbox and --detector are for pose estimators. Received: {options.model}"
        )
    if len(shapes) > 1:
        _print_outputs(predictor, options)
    elif len(shapes[0]) == 1:
        if options.output_dir is not None:
            raise ValueError(f"--output-dir is not for classifiers. Received: {options.model}")
        _classify(ImageClassifier.load(predictor), options)
    elif len(shapes[0]) == 2:
        _detect(_load_detector(predictor, options), options)
    else:
        estimator = PosePredictor.load(
            predictor,
            detector=options.detector and _load_detector(options.detector, options),
            flip_test=options.flip_test,
        )
        _predict_pose(estimator, options)


def _load_detector(model: Predictor | Path, options: argparse.Namespace) -> Detector:
    return Detector.load(
        Predictor.load(model, num_threads=options.num_threads),
        score_threshold=options.score_threshold,
        iou_threshold=PREDICTION_IOU_THRESHOLD,
    )


def _classify(classifier: ImageClassifier, options: argparse.Namespace) -> None:
    for path in options.images:
        print(path)
        for name, score in classifier.predict(path, options.top):
            print(f"  {score:.3f}  {name}")


def _detect(detector: Detector, options: argparse.Namespace) -> None:
    for path in options.images:
        print(path)
        (found,) = detector.detect([path])
        if not len(found.scores):
            print("  no object")
        for (left, top, right, bottom), score, number in zip(*found, strict=True):
            name = detector.class_names[number]
            print(f"  {score:.3f}  {name}  {left:.1f} {top:.1f} {right:.1f} {bottom:.1f}")
        if options.output_dir:
            drawn = draw_detections(path, found, detector.class_names)
            Image.fromarray(drawn).save(options.output_dir / f"{path.stem}.png")


def _print_outputs(predictor: Predictor, options: argparse.Namespace) -> None:
    """Run a file with several outputs on images that are resized and cropped as for classifiers."""
    prepare = eval_transform(None, predictor.input_size, "torchvision")
    for path in options.images:
        print(path)
        pixels = with_channels(prepare(to_pillow(path)), predictor.channels, predictor.name)
        found = {name: x[0] for name, x in predictor.outputs(pixels[np.newaxis]).items()}
        for name, array in found.items():
            print(f"  {name}  {array.shape}  {array.min():.3g} to {array.max():.3g}")
        if options.output_dir:
            np.savez(options.output_dir / f"{path.stem}.npz", allow_pickle=False, **found)


def _predict_pose(estimator: PosePredictor, options: argparse.Namespace) -> None:
    for path in options.images:
        persons = predict_pose(estimator, path, options.bbox)
        if not len(persons):
            print(f"{path} no person")
        for number, person in enumerate(persons, start=1):
            print(f"{path} person {number}")
            for name, (x, y, score) in zip(estimator.skeleton.keypoint_names, person, strict=True):
                print(f"  {score:.3f}  {name}  {x:.1f} {y:.1f}")
        if options.output_dir:
            drawn = draw_skeletons(path, persons, estimator.skeleton, options.keypoint_threshold)
            Image.fromarray(drawn).save(options.output_dir / f"{path.stem}.png")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--output-dir must be a folder to write to. Received: {folder}"
        ) from error


def _check_names(images: Sequence[Path]) -> None:
    if len({path.stem for path in images}) != len(images):
        raise ValueError(
            "Images must differ in name for --output-dir, which receives a file for each. "
            f"Received: {', '.join(map(str, images))}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
