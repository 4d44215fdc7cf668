import pytest

from keras_shufflenet._files import atomic_write, check_output, remove_partial_files


def test_a_failing_write_leaves_the_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(beside):
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "old"


def test_a_file_is_replaced_and_keeps_its_suffix(tmp_path):
    path = tmp_path / "model.weights.h5"
    path.write_text("old")
    suffixes = []

    def write(beside):
        suffixes.append("".join(beside.suffixes[-2:]))
        beside.write_text("new")

    atomic_write(path, write)
    assert suffixes == [".weights.h5"]
    assert path.read_text() == "new"


def test_leftovers_of_a_killed_process_are_swept_away(tmp_path):
    for name in (".4711-model.keras", ".hidden", "model.keras"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "model.keras"]


def test_an_output_is_checked_before_the_work(tmp_path):
    path = tmp_path / "new" / "model.keras"
    assert check_output("path", str(path), (".keras",)) == path
    assert list(tmp_path.rglob("*")) == [path.parent]
    with pytest.raises(ValueError, match=r"must end in \.keras, \.h5\. Received: path='model\.pt'"):
        check_output("path", "model.pt", (".keras", ".h5"))
    with pytest.raises(ValueError, match=r"null byte\. Received: path='a\\x00b\.h5'"):
        check_output("path", "a\0b.h5", (".h5",))
    with pytest.raises(IsADirectoryError, match="must not be a folder"):
        check_output("path", tmp_path, ("",))
