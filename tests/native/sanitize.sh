#!/usr/bin/env bash
# Builds tests/native/exercise.cpp with the address and undefined-behaviour sanitizers, then with the thread sanitizer,
# and runs it. Needs GCC or Clang, and minutes of a processor.
#
#     tests/native/sanitize.sh [folder for the builds]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-build/sanitize}
for kind in address,undefined thread; do
  folder="$out/${kind%%,*}"
  mkdir -p "$folder"
  # Some kernels lay memory out so that a sanitizer refuses to start at all: that says nothing of this code.
  echo 'int main() { return 0; }' >"$folder/empty.cpp"
  if ! { "${CXX:-c++}" "-fsanitize=$kind" "$folder/empty.cpp" -o "$folder/empty" && "$folder/empty"; }; then
    echo "$kind: this sanitizer can't start here, so nothing is checked with it"
    continue
  fi
  base=(-std=c++17 -O1 -g -ffp-contract=off -fno-omit-frame-pointer "-fsanitize=$kind" -fno-sanitize-recover=all -Isrc/native -w)
  wide=(-mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq)
  if [[ $(uname -m) == x86_64 ]]; then
    base+=(-DTRIPTYCH_X86)
    "${CXX:-c++}" "${base[@]}" -mavx2 -mfma -c src/native/level_avx2.cpp -o "$folder/avx2.o"
    "${CXX:-c++}" "${base[@]}" "${wide[@]}" -c src/native/level_avx512.cpp -o "$folder/avx512.o"
    "${CXX:-c++}" "${base[@]}" "${wide[@]}" -mavx512vnni -c src/native/level_vnni.cpp -o "$folder/vnni.o"
    "${CXX:-c++}" "${base[@]}" "${wide[@]}" -mavx512vnni -mavx512bf16 -c src/native/level_bf16.cpp -o "$folder/bf16.o"
  fi
  for name in level_portable levels gpt images pool reading runner sample weights; do
    "${CXX:-c++}" "${base[@]}" -c "src/native/$name.cpp" -o "$folder/$name.o"
  done
  "${CXX:-c++}" "${base[@]}" tests/native/exercise.cpp "$folder"/*.o -pthread -o "$folder/exercise"
  "$folder/exercise"
done
