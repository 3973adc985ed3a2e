#!/usr/bin/env bash
# The shipped model from nothing, on one machine with a GPU that renders and some sixteen cores, in half an hour.
#   bash recipes/tabletop-gpu.sh WORK [key=value of the GPT ...]
# Media are rendered and cleaned as long as the tokenizer trains: what is done by then is what there is to learn from.
# Minutes of the parts: FIRST and STEADY (tokenizer), DECODER, GPT. WORK/tabletop is the model. `recipes/tabletop.sh` makes
# one on two CPU cores, in hours.
set -euo pipefail
WORK=$1
shift
HERE=$(cd "$(dirname "$0")" && pwd)
CORES=$(nproc --all)
LANES=${LANES:-6}
FIRST=${FIRST:-2} STEADY=${STEADY:-3.5} DECODER=${DECODER:-2} GPT=${GPT:-10.6}
IMAGES=${IMAGES:-6000} CLIPS=${CLIPS:-500} EDITS=${EDITS:-700}  # of the first part, from which the tokenizer learns
PART="--images ${PART_IMAGES:-800} --clips ${PART_CLIPS:-200} --edits ${PART_EDITS:-240}"
export OMP_NUM_THREADS=1
mkdir -p "$WORK/media" "$WORK/data"

say() { echo "[$(date +%T)] $*"; }

# Part after part, rendered and cleaned, until told to stop.
lane() {
  local number=$1
  while [ ! -e "$WORK/stop" ]; do
    { triptych world tabletop "$WORK/media/$number" $PART --seed $((1000 + number)) --level 0 --workers 2 &&
      triptych prepare "$WORK/media/$number" "$WORK/data/$number" --tokenizer later --workers 4 &&
      touch "$WORK/data/$number/ready"; } >"$WORK/lane-$1.log" 2>&1 || true
    number=$((number + LANES))
  done
}

tokenizer() {
  triptych train "$HERE/tabletop-tokenizer.yaml" data="$WORK/data/first" cached=true workers=6 batch=384 optim.ema=0.998 \
    validate_every=100000 checkpoint_every=1000 log_every=500 "$@"
}

say "rendering the first part"
triptych world tabletop "$WORK/media/first" --images "$IMAGES" --clips "$CLIPS" --edits "$EDITS" --seed 999 --level 0 --workers "$CORES"
triptych prepare "$WORK/media/first" "$WORK/data/first" --tokenizer later
rm -f "$WORK/stop"
for number in $(seq 1 "$LANES"); do
  lane "$number" &
done

say "training the tokenizer"
tokenizer out="$WORK/tokenizer" minutes="$FIRST" visual.levels=[8,8,8,8] visual.widths=[48,96,192] optim.decay=0.2
tokenizer out="$WORK/steady" start="$WORK/tokenizer/model" minutes="$STEADY" steady=0.6 optim.lr=1.5e-3 optim.decay=0.8 clip_share=0.35
touch "$WORK/stop"
pkill -f "world tabletop $WORK/media" || true

say "training the decoder, and cutting"
triptych train "$HERE/tabletop-decoder.yaml" data="$WORK/data/first" start="$WORK/steady/model" out="$WORK/decoder" \
  minutes="$DECODER" cached=true workers=3 batch=128 optim.ema=0.995 validate_every=100000 log_every=200 >"$WORK/decoder.log" 2>&1 &
decoder=$!
parts=$(cd "$WORK/data" && ls */ready | xargs -n1 dirname | sort -n)
printf '%s\n' first $parts | xargs -P 8 -I NAME sh -c \
  "triptych prepare '$WORK/media/NAME' '$WORK/data/NAME' --tokenizer '$WORK/steady/model' --copies 2 --workers 3 >'$WORK/cut-NAME.log' 2>&1"
more=$(for name in $parts; do echo "$WORK/data/$name"; done | paste -sd,)

say "training the GPT on the first part and $(echo $parts | wc -w) more"
triptych train "$HERE/tabletop-gpu.yaml" data="$WORK/data/first" more="[$more]" out="$WORK/gpt" minutes="$GPT" "$@"
triptych train "$HERE/tabletop-retrieval.yaml" data="$WORK/data/first" more="[$more]" start="$WORK/gpt/model" out="$WORK/retrieval" \
  steps="${HEAD:-1500}" validate_every=100000
wait "$decoder" || { tail -5 "$WORK/decoder.log"; exit 1; }

say "putting the decoder in"
python3 - "$WORK" <<'P'
import sys
from pathlib import Path

from triptych import zoo

work = Path(sys.argv[1])
model, decoder = zoo.load(str(work / "retrieval/model")), zoo.load(str(work / "decoder/model"))
zoo.with_decoder(work / "tabletop", model, decoder.visual, decoder.info.made)
P
say "done: $WORK/tabletop"
