//! Updates as a line of olive oil would give them: bands where oils have them, maps that add up to their output.

use ramand::web::{LiveUpdate, ModelMaps};
use ramand_core::record::Seq;
use serde_json::{Value, json};

use crate::root::root;

/// Name, from, to, height in olive oil, height in sunflower oil, weight of the network: cm⁻¹ and relative to 1440.
const BANDS: [(&str, f64, f64, f64, f64, f64); 9] = [
    ("C-C skeletal, CH3 rock", 855.0, 885.0, 0.22, 0.20, 0.1),
    ("=C-H out of plane", 958.0, 985.0, 0.14, 0.20, 0.5),
    ("C-C stretch, liquid", 1060.0, 1100.0, 0.42, 0.38, -0.2),
    ("carotenoid C-C", 1148.0, 1166.0, 0.10, 0.04, -0.6),
    ("=C-H in-plane bend, cis", 1252.0, 1280.0, 0.38, 0.68, 1.0),
    ("CH2 twist", 1290.0, 1316.0, 0.62, 0.60, -0.3),
    ("CH2 scissor", 1424.0, 1460.0, 1.0, 0.92, -0.8),
    ("C=C stretch, cis", 1640.0, 1672.0, 0.70, 1.75, 1.2),
    ("ester C=O", 1732.0, 1758.0, 0.15, 0.15, 0.05),
];
const POINTS: usize = 251;
const CLAIM: &str = "trained on simulated spectra, never validated on measured vegetable-oil Raman";

fn axis() -> Vec<f64> {
    (0..POINTS).map(|i| 800.0 + 4.0 * i as f64).collect()
}

/// A spectrum of olive oil with `sunflower` in 0..=1; `seed` moves the noise.
fn spectrum(sunflower: f64, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64 - 0.5
    };
    let bands = |shift: f64| -> f64 {
        let band = |(_, from, to, olive, other, _): &(&str, f64, f64, f64, f64, f64)| {
            let (centre, sigma) = (0.5 * (from + to), (to - from) / 3.6);
            (olive + sunflower * (other - olive)) * (-0.5 * ((shift - centre) / sigma).powi(2)).exp()
        };
        BANDS.iter().map(band).sum()
    };
    axis().into_iter().map(|shift| bands(shift) + 0.02 * noise()).collect()
}

/// What the maps of a network with these weights would be, scaled so that D sums to `output`.
fn maps(name: &str, reference: &str, sunflower: f64, seed: u64, output: f64) -> ModelMaps {
    let (shown, pure) = (spectrum(sunflower, seed), spectrum(0.0, 1));
    let weight = |shift: f64| {
        let near = |(_, from, to, _, _, weight): &(&str, f64, f64, f64, f64, f64)| {
            weight * (-0.5 * ((shift - 0.5 * (from + to)) / 14.0).powi(2)).exp()
        };
        BANDS.iter().map(near).sum::<f64>()
    };
    let raw: Vec<f64> = axis().iter().zip(shown.iter().zip(&pure)).map(|(&at, (x, r))| weight(at) * (x - r)).collect();
    let scale = output / raw.iter().sum::<f64>();
    let map = axis().iter().zip(&shown).map(|(&at, x)| (scale * weight(at) * x) as f32).collect();
    ModelMaps {
        name: name.to_owned(),
        claim: CLAIM.to_owned(),
        reference: reference.to_owned(),
        axis_cm: axis(),
        preprocessed: shown.iter().map(|&x| x as f32).collect(),
        map,
        difference: raw.iter().map(|d| (scale * d) as f32).collect(),
    }
}

fn explanation(maps: &ModelMaps, explained: Value, output: f64) -> Value {
    let gross: f32 = maps.difference.iter().map(|d| d.abs()).sum();
    let mut bands: Vec<(f32, Value)> = BANDS
        .iter()
        .map(|&(name, from, to, ..)| {
            let inside = || maps.axis_cm.iter().zip(&maps.difference).filter(move |(at, _)| (from..=to).contains(*at));
            let sum: f32 = inside().map(|(_, d)| d).sum();
            let size: f32 = inside().map(|(_, d)| d.abs()).sum::<f32>() / gross;
            let record = json!({ "name": name, "from_cm": from, "to_cm": to, "contribution": sum,
                                 "share": f64::from(sum) / output, "gross_share": size });
            (sum, record)
        })
        .collect();
    bands.sort_by(|(a, _), (b, _)| b.abs().total_cmp(&a.abs()));
    let off_band = 1.0 - bands.iter().filter_map(|(_, band)| band["gross_share"].as_f64()).sum::<f64>();
    let bands: Vec<Value> = bands.into_iter().map(|(_, band)| band).collect();
    json!({ "explained": explained, "output": output, "reference_output": 0.0, "completeness_error": 1.2e-7,
            "off_band": off_band, "linear_share": 0.6, "receptive_field_cm": 28.0, "bands": bands })
}

/// An update whose result can still be changed.
pub(crate) struct Sample {
    pub(crate) result: Value,
    models: Vec<ModelMaps>,
}

impl From<Sample> for LiveUpdate {
    fn from(Sample { result, models }: Sample) -> Self {
        let seq = Seq::new(result["seq"].as_u64().expect("a number"));
        Self { seq, result: result.to_string().into_bytes().into(), models }
    }
}

/// Olive oil with `percent` sunflower oil in it; above 5 % it is rejected.
pub(crate) fn olive(seq: u64, percent: f64) -> Sample {
    let sunflower = percent / 100.0;
    let contrast = 2.4 - 0.05 * percent;
    let (reject, probability) = (percent > 5.0, 0.991 - 0.004 * percent);
    let kind = maps("oil-type", "the mean of all oils", 0.3 - 0.2 * sunflower, seq, contrast);
    let adulteration = maps("olive-adulteration", "pure olive oil", sunflower.max(0.004), seq, percent);
    let reasons = match reject {
        true => json!([{ "code": "above", "text": format!("{percent:.1} % sunflower oil is above the limit of 5 %") }]),
        false => json!([]),
    };
    let decision = if reject { "reject" } else { "accept" };
    let result = json!({
        "v": 1, "id": format!("QEP01234-{seq:08}"), "seq": seq, "time": "2026-11-23T08:00:00.123456Z",
        "clock_synchronised": true,
        "spectrometer": { "model": "QE Pro", "serial": "QEP01234" },
        "acquisition": {
            "integration_us": 100_000, "scans": 1, "laser": "on", "saturated_pixels": 0, "dark_noise_counts": 3.1,
            "detector_temperature_c": -10.0, "device_exception": null, "retries": 0, "stale_frames": 0, "damaged_frames": 0
        },
        "verdict": decision,
        "models": [
            {
                "name": "oil-type", "version": "1.0.0", "sha256": "00",
                "verdict": { "decision": "accept", "reasons": [] },
                "prediction": {
                    "kind": "class", "label": "olive", "probability": probability, "runner_up": "peanut",
                    "probabilities": { "olive": probability, "peanut": 1.0 - probability },
                    "scores": { "olive": contrast, "peanut": 0.0 }
                },
                "explanation": explanation(&kind, json!({ "kind": "contrast", "class": "olive", "against": "peanut" }), contrast),
                "applicability": { "t2": 3.1, "t2_limit": 21.0, "q": 0.2, "q_limit": 0.8 }
            },
            {
                "name": "olive-adulteration", "version": "1.0.0", "sha256": "01",
                "verdict": { "decision": decision, "reasons": reasons },
                "prediction": { "kind": "value", "value": percent, "unit": "% sunflower oil", "interval": null },
                "explanation": explanation(&adulteration, json!({ "kind": "value" }), percent),
                "applicability": { "t2": 5.4, "t2_limit": 21.0, "q": 0.31, "q_limit": 0.8 }
            }
        ],
        "timings_us": { "acquire": 120_000, "prepare": 300, "infer": 90, "decide": 10 }
    });
    Sample { result, models: vec![kind, adulteration] }
}

/// A spectrum no model could be shown.
pub(crate) fn too_dark(seq: u64) -> Sample {
    let mut update = olive(seq, 1.0);
    let reasons = json!([{ "code": "too_dark", "text": "12 counts of signal are below the 200 a verdict needs" }]);
    update.result["verdict"] = "invalid".into();
    for model in update.result["models"].as_array_mut().expect("a list") {
        model["verdict"] = json!({ "decision": "invalid", "reasons": reasons });
        for part in ["prediction", "explanation", "applicability"] {
            model[part] = Value::Null;
        }
    }
    for maps in &mut update.models {
        *maps = ModelMaps {
            axis_cm: Vec::new(),
            preprocessed: Vec::new(),
            map: Vec::new(),
            difference: Vec::new(),
            ..maps.clone()
        };
    }
    update
}

/// A payload as the wire contract freezes it, without maps: from `tests/wire_v1`.
pub(crate) fn frozen(seq: u64, name: &str) -> Sample {
    let path = root().join("tests/wire_v1").join(name);
    let mut result: Value = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    result["seq"] = seq.into();
    Sample { result, models: Vec::new() }
}

/// Markup wherever a device, a bundle or a configuration could put text.
pub(crate) fn hostile(seq: u64) -> Sample {
    const MARKUP: &str = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";
    let mut update = olive(seq, 9.0);
    let result = &mut update.result;
    result["spectrometer"] = json!({ "model": MARKUP, "serial": MARKUP });
    result["time"] = MARKUP.into();
    result["acquisition"]["laser"] = MARKUP.into();
    for model in result["models"].as_array_mut().expect("a list") {
        model["name"] = MARKUP.into();
        model["verdict"]["reasons"] = json!([{ "code": MARKUP, "text": MARKUP }]);
        model["prediction"] =
            json!({ "kind": "class", "label": MARKUP, "probability": 0.9, "runner_up": MARKUP, "probabilities": {} });
        model["explanation"]["bands"][0]["name"] = MARKUP.into();
    }
    for maps in &mut update.models {
        maps.name = MARKUP.into();
        maps.claim = MARKUP.into();
        maps.reference = MARKUP.into();
    }
    update
}
