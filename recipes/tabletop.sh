#!/usr/bin/env bash
# From nothing to the shipped model and its scores, in one command; a second call goes on where the first one stopped.
#   bash recipes/tabletop.sh [WORK] [MODEL]
# Not yet run from start to end in one go: its parts were, as the model card tells. Hours of a CPU; everything but the
# model folder stands in WORK.
set -euo pipefail
WORK=${1:-work}
MODEL=${2:-src/triptych/models/tabletop}
HERE=$(cd "$(dirname "$0")" && pwd)

triptych world tabletop "$WORK/train/a" --images 12000 --clips 400 --seed 0 --level 0
triptych world tabletop "$WORK/train/b" --images 38000 --clips 0 --seed 1 --level 0
triptych world tabletop "$WORK/train/c" --images 0 --clips 4600 --seed 2 --level 0
triptych world tabletop "$WORK/train/e" --images 0 --clips 0 --edits 4000 --seed 3 --level 0
# The detector judges pairs of colour and shape that the GPT never saw: it learns from other scenes of the test split.
triptych world tabletop "$WORK/detector" --images 5000 --clips 0 --seed 1000 --level 0 --split test

triptych prepare "$WORK/train" "$WORK/data" --tokenizer later
triptych train "$HERE/tabletop-tokenizer.yaml" data="$WORK/data" out="$WORK/tokenizer"
triptych prepare "$WORK/train" "$WORK/data" --tokenizer "$WORK/tokenizer/model"
triptych train "$HERE/tabletop-pictures.yaml" data="$WORK/data" out="$WORK/pictures"
triptych train "$HERE/tabletop.yaml" data="$WORK/data" start="$WORK/pictures/model" out="$WORK/gpt"
triptych train "$HERE/tabletop-retrieval.yaml" data="$WORK/data" start="$WORK/gpt/model" out="$WORK/tabletop"

[ -f "$WORK/tabletop/model/detector.safetensors" ] ||
  python -m triptych.evaluate.detector "$HERE/detector.yaml" data="$WORK/detector" out="$WORK/tabletop/model" \
  steps=2400 batch=32 precision=bf16
mkdir -p "$MODEL"
[ -f "$MODEL/README.md" ] || cp "$HERE/../src/triptych/models/tabletop/README.md" "$MODEL/"
cp "$WORK"/tabletop/model/* "$MODEL/"
bash "$HERE/results.sh" "$WORK" "$MODEL"
