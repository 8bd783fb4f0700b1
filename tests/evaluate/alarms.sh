#!/bin/sh
# How often the alarm for shortcuts is right: trains small models on simulated oils with and without a planted artefact, and prints the
# table of docs/evaluate.md: tests/evaluate/alarms.sh [FOLDER]
#
# Half of the samples train a model, the other half is what the report is made on. RAMAND names a built program, RAMAND_EVALUATE
# another one that makes the reports, SEEDS the simulated sets. FOLDER keeps what was made, and what is there is not made again: several
# of these may run side by side, each with seeds of its own in a folder of its own, and count.py counts over all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../models
ramand=${RAMAND:-$here/../../target/release/ramand}
evaluate=${RAMAND_EVALUATE:-$ramand}
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"

# $1: quantity or classes, $2: seed, $3: own or equal backgrounds, $4: what is planted, $5: its size, $6: pipeline
one() {
    spectra=$1-$2-$3-$4-$5
    name=$spectra-$6
    case $1 in
    quantity) target=sunflower_pct samples=240 recipe=olive-sunflower task="--task regression --unit %" raw=pipeline-raw-raman-area ;;
    classes) target=oil samples=320 recipe=oil-type task="--task classification" raw=pipeline-raw-raman ;;
    esac
    [ "$6" = bundled ] && steps="--pipeline $models/$raw.toml" || steps=
    [ -f "$name.json" ] && return
    if [ ! -f "$1-$2-$3.csv" ]; then
        cp "$models/recipes/$recipe.toml" "$1-$3.toml"
        # The level of background that oils have on average, for all of them.
        [ "$3" = own ] || sed -i 's/^exposure_ms/background = 0.9\n&/' "$1-$3.toml"
        "$ramand" sim --dataset "$1-$2-$3.csv" --recipe "$1-$3.toml" --seed "$2" --samples "$samples" >&2
    fi
    [ -f "$spectra-test.csv" ] || python3 "$here/plant.py" "$1-$2-$3.csv" "$target" "$4" "$5" "$spectra" >&2
    # shellcheck disable=SC2086 # several words each
    [ -d "$name" ] || "$ramand" train "$spectra-train.csv" --out "$name" $task --target $target --group sample --axis 800:1800:251 \
        --bands "$models/bands-vegetable-oil.toml" --folds 2 --permutations 0 --seed "$2" $steps >/dev/null
    "$evaluate" evaluate "$spectra-test.csv" --model "$name" --label "$target" --json >"$name.json.part"
    mv "$name.json.part" "$name.json"
}

seeds=${SEEDS:-201 202 203 204 205}
for seed in $seeds; do
    for what in quantity classes; do
        one $what "$seed" equal none 0 snv
        one $what "$seed" equal spike 0.15 snv
        one $what "$seed" equal tilt 0.5 snv
    done
done
for seed in $seeds; do
    for what in quantity classes; do
        one $what "$seed" equal spike 0.05 snv
        one $what "$seed" equal tilt 1.5 snv
        one $what "$seed" own none 0 snv
        # The removal of the background takes a tilt away with it.
        one $what "$seed" equal none 0 bundled
        one $what "$seed" equal spike 0.15 bundled
        rm -f "$what-$seed"-*-train.csv "$what-$seed"-*-test.csv
    done
done
python3 "$here/count.py" .
