import shutil

import pytest

from keras_shufflenet._requirements import check_free_space, check_installed


def test_a_missing_package_is_named_with_its_extra():
    check_installed("The demo", "export", ("ai_edge_litert", "numpy"))
    message = (
        r"Quick work requires numpy and no-such-thing: `pip install 'keras-shufflenet\[fast\]'`. "
        r"Received: no no_such_thing"
    )
    with pytest.raises(ImportError, match=message):
        check_installed("Quick work", "fast", ("numpy", "no_such_thing"))


def test_a_full_disk_is_named_before_the_work(tmp_path):
    folder = tmp_path / "not" / "yet"
    free = shutil.disk_usage(tmp_path).free
    check_free_space(folder, free // 2, "The demo")
    with pytest.raises(OSError, match=r"The demo requires \d+ MB of .* Received: \d+ MB for .*yet"):
        check_free_space(folder, 2 * free, "The demo")
    assert not folder.exists()
