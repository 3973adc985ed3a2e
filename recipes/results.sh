#!/usr/bin/env bash
# Every number and picture that the pages show of a model, from held-out media; a second call renders nothing anew.
#   bash recipes/results.sh [WORK] [MODEL]
# Seventy-three minutes of two CPU cores by the `seconds` of docs/results.json, of them 13 track (beside tests that shared the
# cores) and 23 search among 500 clips. And what rendering takes. The detector and the
# feature network that judge are made apart from the GPT: recipes/tabletop.sh trains the one, a package carries the other.
set -euo pipefail
WORK=${1:-work}
MODEL=${2:-src/triptych/models/tabletop}
source "$(dirname "$0")/share.sh"

triptych world tabletop "$WORK/test" --images "$(count 640 24)" --clips "$(count 640 20)" --edits "$(count 200 6)" \
  --seed 0 --level 0 --split test
triptych evaluate "$MODEL" --data "$WORK/test" --json docs/results.json --limit "$(count 60 2)"
python -m triptych.evaluate.report docs/results.json README.md "$MODEL/README.md" docs/results.md
python -m triptych.evaluate.gallery "$MODEL" "$WORK/test" docs/gallery \
  --pictures "$(count 40 4)" --edits "$(count 12 2)" --clips "$(count 20 2)"
python examples/sheet.py docs/drawn.png --model "$MODEL"
python examples/sheet.py docs/drawn-64.jpg --model "$MODEL" --data "$WORK/test" --count "$(count 64 8)" --columns 8
