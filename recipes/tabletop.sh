#!/usr/bin/env bash
# From nothing to a model and its scores on a CPU, in one command; a second call goes on where the first one stopped.
#   bash recipes/tabletop.sh [WORK] [MODEL]
# Some seven hours of two CPU cores, by the sum of its parts; everything but the model's folder and the pages stands in WORK. The models that
# shipped before the one of now were made by these parts; that one by recipes/tabletop-gpu.sh. `SHARE=0.004 bash recipes/tabletop.sh` rehearses it
# all in some minutes (see share.sh).
set -euo pipefail
WORK=${1:-work}
MODEL=${2:-src/triptych/models/tabletop}
HERE=$(cd "$(dirname "$0")" && pwd)
source "$HERE/share.sh"

render() { triptych world tabletop "$WORK/$1" --images "$2" --clips "$3" --edits "$4" --seed "$5" --level 0 "${@:6}"; }
render train/a "$(count 12000 40)" "$(count 400 10)" 0 0
render train/b "$(count 38000 40)" 0 0 1
render train/c 0 "$(count 4600 10)" 0 2
render train/e 0 0 "$(count 4000 30)" 3
# The detector judges pairs of colour and shape that the GPT never saw: it learns from other scenes of the test split.
render detector "$(count 5000 240)" "$(count 400 10)" 0 1000 --split test

triptych prepare "$WORK/train" "$WORK/data" --tokenizer later
triptych train "$HERE/tabletop-tokenizer.yaml" data="$WORK/data" out="$WORK/tokenizer" minutes="$(share 60)"
triptych train "$HERE/tabletop-tokenizer.yaml" data="$WORK/data" out="$WORK/steady" start="$WORK/tokenizer/model" \
  minutes="$(share 34)" steady=0.6 optim.decay=0.7 optim.ema=0.995 clip_share=0.4
triptych prepare "$WORK/train" "$WORK/data" --tokenizer "$WORK/steady/model"
triptych train "$HERE/tabletop-pictures.yaml" data="$WORK/data" out="$WORK/pictures" minutes="$(share 40)"
triptych train "$HERE/tabletop.yaml" data="$WORK/data" start="$WORK/pictures/model" out="$WORK/gpt" minutes="$(share 120)"
triptych train "$HERE/tabletop-retrieval.yaml" data="$WORK/data" start="$WORK/gpt/model" out="$WORK/tabletop" \
  steps="$(count 2000 20)" pairs="$(count 9000 40)"

triptych train "$HERE/tabletop-decoder.yaml" data="$WORK/data" start="$WORK/tabletop/model" out="$WORK/decoder" minutes="$(share 24)"
triptych train "$HERE/tabletop-verifier.yaml" data="$WORK/data" start="$WORK/decoder/model" out="$WORK/verifier" minutes="$(share 12)"
triptych train "$HERE/tabletop-namer.yaml" data="$WORK/data" start="$WORK/verifier/model" out="$WORK/namer" minutes="$(share 40)"

triptych world tabletop "$WORK/motions" --images 0 --clips 0 --motions "$(count 16000 100)" --seed 71 --level 0
triptych train "$HERE/tabletop-mover.yaml" data="$WORK/motions" start="$WORK/namer/model" out="$WORK/mover" steps="$(count 20000 20)"

[ -f "$WORK/mover/model/detector.safetensors" ] ||
  python -m triptych.evaluate.detector "$HERE/detector.yaml" data="$WORK/detector" out="$WORK/mover/model" \
    steps="$(count 2400 10)" batch=32 precision=bf16
mkdir -p "$MODEL"
[ -f "$MODEL/README.md" ] || cp "$HERE/../src/triptych/models/tabletop/README.md" "$MODEL/"
cp "$WORK"/mover/model/* "$MODEL/"
bash "$HERE/results.sh" "$WORK" "$MODEL"
