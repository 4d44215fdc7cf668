"""Mutated image files, and the verdicts on them."""

import numpy as np
import pytest

from fuzz_images import BAD, RECOVERED, REFUSED, SAME, fuzz, judge

REFUSAL = ValueError("An image must be a complete file (broken data stream). Received: a.jpg")


def test_all_ways_agree_on_mutated_files(tmp_path):
    verdicts, ends, findings = fuzz(12, 7, tmp_path, commands=1)
    assert findings == []
    assert verdicts.total() == 12
    assert ends.total() == 2
    assert min(verdicts[SAME], verdicts[REFUSED]) > 1


@pytest.mark.parametrize(
    ("seen", "trained", "verdict"),
    [
        (np.ones(3), np.zeros(3), SAME),
        (REFUSAL, REFUSAL, REFUSED),
        (REFUSAL, np.zeros(3), RECOVERED),
        (np.ones(3), np.ones(3), BAD[0]),
        (np.ones(3), REFUSAL, BAD[1]),
        (ValueError("a.jpg is too large"), np.zeros(3), BAD[1]),
        (ValueError("no"), ValueError("no"), BAD[2]),
        (KeyError("a.jpg"), REFUSAL, BAD[3]),
    ],
)
def test_verdicts(seen, trained, verdict):
    assert judge(seen, {"classifier": trained}, "a.jpg") == verdict
