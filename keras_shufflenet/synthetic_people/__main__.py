"""A helper process of `workers`: draws its share and prints one line of JSON per image."""

import json
import sys
from pathlib import Path

from keras_shufflenet.synthetic_people.plan import Plan
from keras_shufflenet.synthetic_people.workers import draw_share

images, (count, seed, size, crowd, difficulty), share, of = json.loads(sys.argv[1])
plan = Plan(count, seed, tuple(size), tuple(crowd), difficulty)
for drawn in draw_share(Path(images), plan, share, of):
    print(json.dumps(drawn), flush=True)
