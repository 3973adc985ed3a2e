#!/usr/bin/env bash
# The table of docs/compare.md, from nothing; a second call goes on where the first one stopped.
#   bash recipes/compare.sh [WORK] [MINUTES]
# Needs the extras [compare] and [world], and Debian's dataset-fashion-mnist. MINUTES are of one training on all labels;
# all of it takes about 35 times as long on one core by the sum of its parts, beside rendering; the table of docs/compare.md
# was made by these commands one by one. PRECISION=bf16 suits CPUs with AVX512_BF16.
set -euo pipefail
WORK=${1:-work}
MINUTES=${2:-2}
export OMP_NUM_THREADS=1  # CPU time of one thread is what both networks are given

triptych world tabletop "$WORK/compare/pictures" --images 8000 --clips 0 --seed 11 --level 0
triptych world tabletop "$WORK/compare/clips" --images 0 --clips 1250 --seed 12 --level 0
triptych world tabletop "$WORK/test" --images 640 --clips 640 --edits 200 --seed 0 --level 0 --split test

compare() {
  triptych compare "$@" --minutes "$MINUTES" --out "$WORK/compared" "precision=${PRECISION:-fp32}" \
    tested=400 attack_steps=8 queries=30 trial=0.25
}
compare "$WORK/compare/pictures" --test "$WORK/test" --name pictures --media pictures \
  --target truth.objects.shape+truth.objects.color attacked=32
compare fashion-mnist --name fashion-mnist attacked=32
compare "$WORK/compare/clips" --test "$WORK/test" --name clips --media clips --target truth.story attacked=12

cp "$WORK/compared/compare.json" docs/compare.json
python -m triptych.compare.page docs/compare.json docs/compare.md
