#!/usr/bin/env bash
# Unpacks the kit where there is no Node.js, and runs the tests and the benchmark on the GPU of this machine: bash run.sh OUT [options of bench/cuda.mjs].
# Writes test-cuda.json, bench-cuda.json and what was printed into the folder OUT.
set -uo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")"
[ -x node ] || { xz -dk node.xz && chmod +x node; }
nvidia-smi > "$out/nvidia-smi.txt" 2>&1
./node scripts/test-cuda.mjs --json "$out/test-cuda.json" 2>&1 | tee "$out/test-cuda.txt"
tests=${PIPESTATUS[0]}
./node bench/cuda.mjs --out "$out/bench-cuda.json" "$@" 2>&1 | tee "$out/bench-cuda.txt"
bench=${PIPESTATUS[0]}
[ "$tests" -eq 0 ] && [ "$bench" -eq 0 ]
