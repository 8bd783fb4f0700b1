#!/bin/sh
# How often the alarm for shortcuts is right: trains small models on simulated oils with and without a planted artefact, and prints the
# table of docs/evaluate.md: tests/evaluate/alarms.sh [FOLDER]
#
# RAMAND names a built program. FOLDER keeps what was made, and what is there is not made again. Takes about ten minutes on two cores.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../models
ramand=${RAMAND:-$here/../../target/release/ramand}
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"

# $1: quantity or kinds, $2: seed, $3: what is planted, $4: pipeline
one() {
    name=$1-$2-$3-$4
    case $1 in
    quantity) target=sunflower_pct task="--task regression --unit %" pipeline=$models/pipeline-raw-raman-area.toml ;;
    kinds) target=oil task="--task classification" pipeline=$models/pipeline-raw-raman.toml ;;
    esac
    [ "$4" = bundled ] && steps="--pipeline $pipeline" || steps=
    # shellcheck disable=SC2086 # several words each
    [ -d "$name" ] || "$ramand" train "$1-$2-$3.csv" --out "$name" $task --target $target --group sample --axis 800:1800:251 \
        --bands "$models/bands-vegetable-oil.toml" --folds 2 --permutations 0 --seed "$2" $steps >/dev/null
    "$ramand" evaluate "$1-$2-$3.csv" --model "$name" --label $target --json >"$name.json"
}

for seed in 1 2 3 4; do
    for what in quantity kinds; do
        [ $what = quantity ] && recipe=olive-adulteration || recipe=oil-type
        [ -f "$what-$seed.csv" ] || "$ramand" sim --dataset "$what-$seed.csv" --recipe $recipe --seed $seed >&2
        [ -f "$what-$seed-tilt.csv" ] || python3 "$here/plant.py" "$what-$seed.csv" $what "$what-$seed" >&2
        for planted in none spike tilt; do
            one $what $seed $planted snv
            # The background's removal takes a tilt away with it.
            [ $planted = tilt ] || one $what $seed $planted bundled
        done
    done
done
python3 "$here/count.py" .
