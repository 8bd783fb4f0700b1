//! The processor: how warm it is, whether it was slowed down, and which kernels of tract it gets.

use ramand_core::failure::Kind;
use ramand_model::{Kernels, kernels};

use super::{Diagnosis, Root};

/// Boards slow themselves down from 80 °C (Raspberry Pi) or a little above.
const WARM_MAX_C: f64 = 80.0;

/// The bits of the Raspberry Pi's `get_throttled`: those that hold now, and sixteen further up those that held since it was
/// started.
const THROTTLED: [(u32, &str); 4] = [
    (0, "under-voltage: use a stronger supply and a short cable"),
    (1, "the processor's frequency is capped"),
    (2, "the processor is throttled: cool it"),
    (3, "the soft temperature limit is reached: cool it"),
];

pub(super) fn examine(root: &Root) -> Vec<Diagnosis> {
    let mut diagnoses = vec![temperature(root), throttling(root)];
    diagnoses.push(kernel_set(&kernels()));
    diagnoses
}

fn kernel_set(kernels: &Kernels) -> Diagnosis {
    if kernels.are_plain() {
        let says = format!(
            "{kernels}: no kernel written for this processor runs, and inference is slow; does something hide /proc/cpuinfo, or is \
             TRACT_CPU_ISA set?"
        );
        Diagnosis::mend("kernels", Kind::Operator, says)
    } else {
        Diagnosis::good("kernels", kernels.to_string())
    }
}

fn temperature(root: &Root) -> Diagnosis {
    let zones = root.names("/sys/class/thermal", "thermal_zone");
    let reading = |zone: &String| {
        let folder = format!("/sys/class/thermal/{zone}");
        let millidegrees: f64 = root.text(format!("{folder}/temp"))?.parse().ok()?;
        let kind = root.text(format!("{folder}/type")).unwrap_or_else(|| zone.clone());
        // A sensor that is switched off reads far below any winter.
        Some((millidegrees / 1000.0, kind)).filter(|(degrees, _)| (-60.0..=200.0).contains(degrees))
    };
    match zones.iter().filter_map(reading).max_by(|a, b| a.0.total_cmp(&b.0)) {
        None => Diagnosis::noted("temperature", "not known here: no thermal zone"),
        Some((degrees, kind)) if degrees >= WARM_MAX_C => {
            Diagnosis::mend("temperature", Kind::Device, format!("{kind} is at {degrees:.0} °C: cool the board"))
        }
        Some((degrees, kind)) => Diagnosis::good("temperature", format!("{kind} is at {degrees:.0} °C")),
    }
}

fn throttling(root: &Root) -> Diagnosis {
    if let Some(text) = root.text("/sys/devices/platform/soc/soc:firmware/get_throttled") {
        return raspberry_pi(&text);
    }
    let mut events = Vec::new();
    for hwmon in root.names("/sys/class/hwmon", "hwmon") {
        let folder = format!("/sys/class/hwmon/{hwmon}");
        for counter in root.names(&folder, "oc").into_iter().filter(|name| name.ends_with("_event_cnt")) {
            events.push((root.text(format!("{folder}/{counter}")).and_then(|text| text.parse().ok()), counter));
        }
    }
    if events.is_empty() {
        for processor in root.names("/sys/devices/system/cpu", "cpu") {
            let path = format!("/sys/devices/system/cpu/{processor}/thermal_throttle/core_throttle_count");
            events.extend(root.text(path).map(|text| (text.parse().ok(), processor)));
        }
    }
    let happened: Vec<String> = (events.iter())
        .filter_map(|(count, name): &(Option<u64>, String)| count.filter(|&count| count > 0).map(|count| (count, name)))
        .map(|(count, name)| format!("{name} {count}"))
        .collect();
    if events.is_empty() {
        Diagnosis::noted("throttling", "not known here")
    } else if happened.is_empty() {
        Diagnosis::good("throttling", "never since the start")
    } else {
        let says = format!("{} times since the start: check supply and cooling", happened.join(", "));
        Diagnosis::mend("throttling", Kind::Device, says)
    }
}

fn raspberry_pi(text: &str) -> Diagnosis {
    let Ok(bits) = u32::from_str_radix(text.trim_start_matches("0x"), 16) else {
        return Diagnosis::noted("throttling", format!("not known here: the firmware says '{text}'"));
    };
    let said = |shift: u32| -> Vec<&str> {
        THROTTLED.iter().filter(|(bit, _)| bits >> (bit + shift) & 1 == 1).map(|(_, says)| *says).collect()
    };
    match (said(0), said(16)) {
        (now, _) if !now.is_empty() => Diagnosis::mend("throttling", Kind::Device, format!("now: {}", now.join("; "))),
        (_, before) if !before.is_empty() => {
            Diagnosis::mend("throttling", Kind::Device, format!("since the start: {}", before.join("; ")))
        }
        _ => Diagnosis::good("throttling", "never since the start"),
    }
}
