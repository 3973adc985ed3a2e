#!/usr/bin/env bash
# A model of the tabletop world from nothing, on one machine with a GPU that renders and some sixteen cores. Its parts took half
# an hour of an H100, one by one; in one piece, but for namer and mover, it has been run on a CPU only, with few media.
#   bash recipes/tabletop-gpu.sh WORK [key=value of the GPT ...]
# Media are rendered and cleaned as long as the tokenizer trains: what is done by then is what there is to learn from.
# Minutes of the parts: FIRST and STEADY (tokenizer), DECODER, GPT, VERIFIER, NAMER; MOVER is steps. WORK/mover/model is the model; what judges it is made by
# recipes/detector.yaml. A second call goes on where the first one stopped. `recipes/tabletop.sh` needs no GPU, and hours.
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
mkdir -p "$WORK/media" "$WORK/data" "$WORK/logs"

say() { echo "[$(date +%T)] $*"; }

# A background job leads a process group of its own, so that ending it ends what it started; no job outlives the script.
set -m
running=()
end() {
  local pid
  for pid in "${running[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
  for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
  running=()
}
trap end EXIT
trap 'exit 130' INT TERM

# Part after part, rendered and cleaned, until it is ended; what failed is told in its log.
lane() {
  local number
  for ((number = $1; ; number += LANES)); do
    [ ! -e "$WORK/data/$number/ready" ] || continue
    triptych world tabletop "$WORK/media/$number" $PART --seed $((1000 + number)) --level 0 --workers 2 || return
    triptych prepare "$WORK/media/$number" "$WORK/data/$number" --tokenizer later --workers 4 || return
    touch "$WORK/data/$number/ready"
  done
}

tokenizer() {
  triptych train "$HERE/tabletop-tokenizer.yaml" data="$WORK/data/first" cached=true workers=6 batch=384 optim.ema=0.998 \
    validate_every=100000 checkpoint_every=1000 log_every=500 "$@"
}

cut() {
  triptych prepare "$WORK/media/$1" "$WORK/data/$1" --tokenizer "$WORK/steady/model" --copies 2 --workers 3 >"$WORK/logs/cut-$1" 2>&1 ||
    { echo "part $1 could not be cut:"; tail -3 "$WORK/logs/cut-$1"; return 1; }
}

if [ ! -e "$WORK/parts" ]; then
  say "rendering the first part"
  triptych world tabletop "$WORK/media/first" --images "$IMAGES" --clips "$CLIPS" --edits "$EDITS" --seed 999 --level 0 --workers "$CORES"
  triptych prepare "$WORK/media/first" "$WORK/data/first" --tokenizer later
  for number in $(seq 1 "$LANES"); do
    lane "$number" >"$WORK/logs/lane-$number" 2>&1 &
    running+=($!)
  done
fi
say "training the tokenizer"
tokenizer out="$WORK/tokenizer" minutes="$FIRST" visual.levels=[8,8,8,8] visual.widths=[48,96,192] optim.decay=0.2
tokenizer out="$WORK/steady" start="$WORK/tokenizer/model" minutes="$STEADY" steady=0.6 optim.lr=1.5e-3 optim.decay=0.8 clip_share=0.35
end
if [ ! -e "$WORK/parts" ]; then  # a run that goes on learns from the same
  for ready in "$WORK"/data/*/ready; do
    [ ! -e "$ready" ] || basename "$(dirname "$ready")"
  done | sort -n >"$WORK/parts.tmp"
  mv "$WORK/parts.tmp" "$WORK/parts"
fi
mapfile -t parts <"$WORK/parts"

say "training the decoder, and cutting the first part and ${#parts[@]} more"
triptych train "$HERE/tabletop-decoder.yaml" data="$WORK/data/first" start="$WORK/steady/model" out="$WORK/decoder" \
  minutes="$DECODER" cached=true workers=3 batch=128 optim.ema=0.995 validate_every=100000 log_every=200 >"$WORK/logs/decoder" 2>&1 &
decoder=$!
running+=("$decoder")
export -f cut
export WORK
printf '%s\n' first "${parts[@]}" | xargs -P 8 -I NAME bash -c 'cut NAME'
more=$(for name in "${parts[@]}"; do printf '%s,' "$WORK/data/$name"; done)

say "training the GPT"
triptych train "$HERE/tabletop-gpu.yaml" data="$WORK/data/first" more="[${more%,}]" out="$WORK/gpt" minutes="$GPT" "$@"
triptych train "$HERE/tabletop-retrieval.yaml" data="$WORK/data/first" more="[${more%,}]" start="$WORK/gpt/model" out="$WORK/tabletop" \
  steps="${HEAD:-1500}" validate_every=100000
wait "$decoder" || { tail -5 "$WORK/logs/decoder"; exit 1; }
running=()

say "putting the decoder in"
python3 - "$WORK" <<'P'
import sys
from pathlib import Path

from triptych import zoo

work = Path(sys.argv[1])
model, decoder = zoo.load(str(work / "tabletop/model")), zoo.load(str(work / "decoder/model"))
zoo.with_decoder(work / "drawing", model, decoder.visual, decoder.info.made)
P
triptych train "$HERE/tabletop-verifier.yaml" data="$WORK/data/first" more="[${more%,}]" start="$WORK/drawing" out="$WORK/verifier" \
  minutes="${VERIFIER:-2}" workers=12
triptych train "$HERE/tabletop-namer.yaml" data="$WORK/data/first" more="[${more%,}]" start="$WORK/verifier/model" out="$WORK/namer" \
  minutes="${NAMER:-4}" workers=12
triptych world tabletop "$WORK/motions" --images 0 --clips 0 --motions "${MOTIONS:-16000}" --seed 71 --level 0 --workers "$CORES"
triptych train "$HERE/tabletop-mover.yaml" data="$WORK/motions" start="$WORK/namer/model" out="$WORK/mover" steps="${MOVER:-20000}" device=cpu
say "done: $WORK/mover/model"
