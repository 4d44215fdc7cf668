"""Random access to TFRecord files."""

import pytest
import tensorflow as tf

from keras_shufflenet.data.tfrecords import FilePart, TFRecords

RECORDS = [[b"first", b"", b"third" * 99], [b"fourth", b"\0\0"]]


@pytest.fixture
def files(tmp_path):
    """Two files that TensorFlow wrote."""
    for number, records in enumerate(RECORDS):
        with tf.io.TFRecordWriter(str(tmp_path / f"{number}.tfrecord")) as writer:
            for record in records:
                writer.write(record)
    return [str(tmp_path / f"{number}.tfrecord") for number in range(len(RECORDS))]


def test_records_are_those_that_tensorflow_reads(files):
    records = TFRecords([FilePart(files[0], 0, 3, 3), FilePart(files[1], 0, 2, 2)])
    expected = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    assert len(records) == 5
    assert [records[row] for row in (4, 0, 3, 1, 2)] == [expected[row] for row in (4, 0, 3, 1, 2)]


def test_parts_of_files(files):
    records = TFRecords([FilePart(files[0], 2, 1, 3), FilePart(files[1], 0, 1, 2)])
    assert [records[row] for row in range(len(records))] == [b"third" * 99, b"fourth"]
    assert len(TFRecords([])) == 0


@pytest.mark.parametrize("row", [-1, 3])
def test_rows_beyond_the_end(files, row):
    with pytest.raises(IndexError, match=f"must be below 3. Received: row={row}"):
        TFRecords([FilePart(files[0], 0, 3, 3)])[row]


def test_a_truncated_file_is_named(files):
    with open(files[0], "r+b") as file:
        file.truncate(60)
    with pytest.raises(ValueError, match=r"must be complete and have 3 records. Received: 2 in 60"):
        TFRecords([FilePart(files[0], 0, 3, 3)])[0]


def test_another_number_of_records(files):
    with pytest.raises(ValueError, match=r"have 4 records. Received: 3 in .* of .*0.tfrecord"):
        TFRecords([FilePart(files[0], 0, 4, 4)])[0]
