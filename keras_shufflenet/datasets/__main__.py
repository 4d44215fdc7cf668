"""`python -m keras_shufflenet.datasets mpii_pose`: `tfds build` with the builders of this package.

It is tfds' own command with all its options. The program `tfds` imports Apache Beam and mlcroissant
for its other commands, and Apache Beam takes other versions of Pillow and Protocol Buffers.
"""

import dataclasses
import sys

from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils

import keras_shufflenet.datasets  # noqa: F401  (registers the builders)

IMPORTS = "keras_shufflenet.datasets"


def main(arguments: build.Args) -> None:
    """Build the datasets; those registered, not scripts of the same name in the folder."""
    generation = arguments.generation
    imports = f"{generation.imports},{IMPORTS}" if generation.imports else IMPORTS
    chosen = dataclasses.replace(generation, imports=imports)
    try:
        dataclasses.replace(arguments, generation=chosen).execute()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    app.run(
        main,
        flags_parser=cli_utils.make_flags_parser(
            build.Args, description="Download and prepare datasets, as `tfds build` does."
        ),
    )
