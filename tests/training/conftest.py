import pytest

from keras_shufflenet import synthetic_people


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Twelve synthetic people: (json, folder of images)."""
    folder = tmp_path_factory.mktemp("people")
    return tuple(
        synthetic_people.create_dataset(folder, 12, image_size=(96, 96), workers=1, verbose=False)
    )
