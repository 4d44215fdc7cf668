import pytest
from typer import BadParameter

from tools.ablate_pose import ALL, TRAININGS, finished, main, sources


def test_trainings_differ_from_the_first_in_what_their_name_says(tmp_path):
    assert TRAININGS["all"] == ALL
    assert len(set(map(str, TRAININGS.values()))) == len(TRAININGS)

    def files(name):
        pairs = sources(TRAININGS[name], tmp_path / "data", tmp_path / "labels", tmp_path / "run")
        assert all(images.name == "images" for _, images in pairs)
        return {str(path.relative_to(tmp_path)) for path, _ in pairs}

    completed, own = "labels/lspet_completed.json", "data/lspet/person_keypoints_train.json"
    photographs = {"labels/labels_coco.json", "labels/labels_imagenet.json"}
    everything = files("all")
    assert everything - files("no persons of LSPET") == {completed}
    assert everything - files("no pseudo-labeled photographs") == photographs
    assert everything ^ files("LSPET's own labels") == {completed, own}


def test_finished_trainings_are_those_with_a_row(tmp_path):
    results = tmp_path / "results.csv"
    assert finished(results) == set()
    results.write_text("training,AP\nall,0.1\n")
    assert finished(results) == {"all"}


def test_unknown_trainings_are_named(tmp_path):
    with pytest.raises(BadParameter, match=r"Received: \{'none'\}"):
        main(tmp_path, tmp_path, tmp_path / "w", "t", tmp_path / "r.csv", only=["none"])
