#!/usr/bin/env bash
# Builds a wheel where the C++ compiler fails, installs it into an empty folder, and runs it there: it must hold no
# extension, say so, and draw on torch. Further arguments go to pip (such as --no-build-isolation).
#
#     tests/native/without_compiler.sh [pip's options]
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

fail() { echo "without_compiler: $1" >&2; exit 1; }

CXX=/bin/false "$python" -m pip wheel --quiet --no-deps --wheel-dir "$out" "$@" .
wheel=$(echo "$out"/triptych-*.whl)
[[ $(basename "$wheel") == *-none-any.whl ]] || fail "$(basename "$wheel") is not a pure wheel"
"$python" -m pip install --quiet --no-deps --target "$out/package" "$wheel"
[[ -z $(find "$out/package" -name '*_triptych_native*') ]] || fail "the wheel holds an extension"

# What triptych needs stands beside it, but neither another triptych nor its extension.
mkdir "$out/needs"
for entry in "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"/*; do
  [[ $(basename "$entry") == *triptych* || $entry == *.pth ]] || ln -s "$entry" "$out/needs/"
done
run() { # -S: no .pth file of an editable install
  "$python" -I -S -c "import sys; sys.path[:0] = ['$out/package', '$out/needs']; from triptych.cli import main; sys.exit(main())" "$@"
}
cd "$out"
told=$(COLUMNS=300 run info tabletop)
grep -q "torch: the extension module can't be imported" <<< "$told" || fail "info tells no reason: $told"
run draw "a red ball" --seed 1 -o "$out/drawn.png"
[[ -s $out/drawn.png ]] || fail "draw wrote no picture"
grep engine <<< "$told"
echo "without a compiler: right"
