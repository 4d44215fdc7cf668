"""Run by an environment with MediaPipe, which does not go together with the tests' own.

Each line of the standard input is a list in JSON, and is answered by a line of JSON after MARK:

["metadata", FILE.tflite], ["classify", FILE.tflite, IMAGE, ...] or ["detect", FILE.tflite, IMAGE]
"""

import json
import sys

MARK = "answer: "


def metadata(path):
    """The file's `ModelMetadata` as MediaPipe's classes read it."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
    from mediapipe.tasks.metadata import schema_py_generated as models

    with open(path, "rb") as file:
        model = models.Model.GetRootAs(file.read(), 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    facts = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content, 0))
    (graph,) = facts.subgraphMetadata
    (source,), (target, *others) = graph.inputTensorMetadata, graph.outputTensorMetadata
    image = schema.ContentProperties.ImageProperties
    normalization = schema.ProcessUnitOptions.NormalizationOptions
    units = source.processUnits or []
    assert all(unit.optionsType == normalization for unit in units)
    return {
        "version": facts.minParserVersion.decode(),
        "description": source.description.decode(),
        "is_image": source.content is not None and source.content.contentPropertiesType == image,
        "color_space": source.content and source.content.contentProperties.colorSpace,
        "normalization": [
            [[float(n) for n in numbers] for numbers in (unit.options.mean, unit.options.std)]
            for unit in units
        ],
        "output": target.name.decode(),
        "other_outputs": [other.name.decode() for other in others],
        "output_files": [_file(file, schema) for file in target.associatedFiles or []],
        "files": [file.name.decode() for file in facts.associatedFiles or []],
    }


def _file(file, schema):
    labels = file.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS
    return [file.name.decode(), "axis labels" if labels else file.type]


def classify(path, *images):
    """Index and name of the best class of each image."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=path), max_results=1
    )
    found = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image in images:
            pixels = mediapipe.Image.create_from_file(image)
            found += classifier.classify(pixels).classifications[0].categories
    return [[best.index, best.category_name] for best in found]


def detect(path, image):
    """Name, score and box (left, top, right, bottom) of the objects in an image, best first."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=path))
    with vision.ObjectDetector.create_from_options(options) as detector:
        found = detector.detect(mediapipe.Image.create_from_file(image)).detections
    rows = [(each.categories[0], each.bounding_box) for each in found]
    rows.sort(key=lambda row: -row[0].score)
    return [
        [
            *(category.category_name, category.score, box.origin_x, box.origin_y),
            *(box.origin_x + box.width, box.origin_y + box.height),
        ]
        for category, box in rows
    ]


if __name__ == "__main__":
    commands = {"metadata": metadata, "classify": classify, "detect": detect}
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(MARK + json.dumps(commands[command](*arguments)), flush=True)
