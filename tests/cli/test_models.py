def test_networks_and_their_weights_are_listed(command):
    code, out, _ = command("models")
    assert code == 0
    assert "shufflenet_v2_x1_0" in out
    assert "shufflenet_v2_x0_25" in out
    assert "pose_shufflenet_v2_x1_0_coco_256x192" in out
    assert "license" not in out


def test_a_pattern_selects_and_verbose_tells_more(command):
    code, out, _ = command("models", "mobilenet*", "--verbose")
    assert code == 0
    assert "mobilenet_v2_x1_0" in out
    assert "shufflenet_v2" not in out.replace("keras_shufflenet", "")
    assert "license" in out


def test_the_summary_of_a_model(command):
    code, out, _ = command("models", "shufflenet_v2_x0_25", "--summary")
    assert code == 0
    assert out.splitlines()[0].split()[:3] == ["stage", "layers", "output"]
    assert "28 × 28 × 24" in out
    code, _, errors = command("models", "shufflenet*", "--summary")
    assert code == 1
    assert errors == "Error: --summary requires the name of a model. Received: shufflenet*\n"


def test_no_match_is_an_error(command):
    code, _, err = command("models", "resnet*")
    assert code == 1
    assert err.startswith("Error: PATTERN must match a model")
    assert err.endswith("Received: resnet*\n")


def test_the_beginning_of_a_name_is_no_pattern(command):
    code, _, errors = command("models", "shufflenet_v2")
    assert code == 1
    assert "like 'shufflenet_v2*'; without one all are listed. Received: shufflenet_v2" in errors
