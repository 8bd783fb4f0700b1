//! `cam` and `spectrum`: CBOR (RFC 8949) maps with text keys, numbers in bulk as typed arrays (RFC 8746).
//!
//! Tag 85 is an array of little-endian f32, tag 86 of little-endian f64, both in a byte string: `numpy.frombuffer` and
//! `Float32Array` take them as they are. A `spectrum` holds everything that was known when it was measured, so that
//! [`decode_spectrum`] gives back the spectrum itself and a replay meets the same gates.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use ramand_core::failure::{Failure, Kind};
use ramand_core::outcome::{Explained, Inspection};
use ramand_core::spectrum::{
    Acquisition, AxisError, Celsius, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Nonlinearity, Origin,
    RawSpectrum, ShiftAxis, Wavelength, WavelengthCalibration,
};

use super::result::laser_state;
use super::{Stamp, VERSION, record_id, time_text};

/// RFC 8746: IEEE 754 binary32, little-endian.
const F32_ARRAY: u64 = 85;
/// RFC 8746: IEEE 754 binary64, little-endian.
const F64_ARRAY: u64 = 86;

/// Points of a spectrum at most: a hundred times the largest Raman detector.
const POINTS_MAX: usize = 100_000;

/// Entries of any map at most, known or not: no record has a quarter of it.
const KEYS_MAX: u64 = 100;

type Encoded<'e> = Result<&'e mut Encoder<Vec<u8>>, minicbor::encode::Error<Infallible>>;

/// The payload of `cam`: axis, M and D of every model that concluded something.
pub fn cam(stamp: &Stamp, inspection: &Inspection) -> Vec<u8> {
    written(|e| {
        head(e, 6, stamp, inspection.spectrum.origin())?;
        let concluded = || inspection.findings.iter().filter_map(|f| Some((f, f.conclusion.as_ref()?)));
        e.str("models")?.array(concluded().count() as u64)?;
        for (finding, conclusion) in concluded() {
            let attribution = &conclusion.attribution;
            e.map(9)?.str("name")?.str(&finding.model.name)?;
            e.str("version")?.str(&finding.model.version)?.str("sha256")?.str(&finding.model.sha256)?;
            e.str("explained")?;
            match attribution.explained {
                Explained::Value => e.map(1)?.str("kind")?.str("value")?,
                Explained::Contrast { class, against } => {
                    let name = |class| conclusion.prediction.label(class);
                    e.map(3)?.str("kind")?.str("contrast")?;
                    e.str("class")?.str(name(class))?.str("against")?.str(name(against))?
                }
            };
            e.str("output")?.f32(attribution.output)?;
            e.str("reference_output")?.f32(attribution.reference_output)?;
            f64_array(e.str("axis_cm")?, attribution.axis.per_cm())?;
            f32_array(e.str("map")?, &attribution.map)?;
            f32_array(e.str("difference")?, &attribution.difference)?;
        }
        Ok(e)
    })
}

/// The payload of `spectrum`: axis, light, dark, and the circumstances.
pub fn spectrum(stamp: &Stamp, spectrum: &RawSpectrum) -> Vec<u8> {
    written(|e| {
        head(e, 9, stamp, spectrum.origin())?;
        f64_array(e.str("axis_cm")?, spectrum.axis().per_cm())?;
        f32_array(e.str("light")?, spectrum.light())?;
        match spectrum.dark() {
            Some(dark) => f32_array(e.str("dark")?, dark)?,
            None => e.str("dark")?.null()?,
        };
        match spectrum.origin() {
            Origin::Measured(acquisition) => measured(e.str("acquisition")?, acquisition),
            Origin::Recorded { id } => e.str("recorded")?.str(id),
        }
    })
}

fn written(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Encoded<'_>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).map(drop).expect("writing to memory does not fail");
    encoder.into_writer()
}

fn head<'e>(e: &'e mut Encoder<Vec<u8>>, entries: u64, stamp: &Stamp, origin: &Origin) -> Encoded<'e> {
    e.map(entries)?.str("v")?.u8(VERSION)?;
    e.str("id")?.str(&record_id(stamp.seq, origin))?;
    e.str("seq")?.u64(stamp.seq.number())?;
    e.str("time")?.str(&time_text(stamp.time))?;
    e.str("clock_synchronised")?.bool(stamp.clock == super::Clock::Synchronised)
}

fn measured<'e>(e: &'e mut Encoder<Vec<u8>>, acquisition: &Acquisition) -> Encoded<'e> {
    let micros = |time: SystemTime| u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros());
    let instrument = &acquisition.instrument;
    e.map(12)?.str("taken_us")?.u64(micros(acquisition.taken).unwrap_or(u64::MAX))?;
    e.str("integration_us")?.u64(acquisition.integration.micros())?;
    e.str("scans")?.u32(acquisition.scans)?;
    e.str("laser")?.str(laser_state(acquisition.laser))?;
    e.str("saturated_pixels")?.u64(acquisition.saturated_pixels as u64)?;
    e.str("dark_noise_counts")?.encode(acquisition.dark_noise.map(Counts::value))?;
    e.str("detector_temperature_c")?.encode(acquisition.detector_temperature.map(Celsius::degrees))?;
    e.str("device_exception")?.encode(acquisition.device_exception)?;
    e.str("retries")?.u32(acquisition.line.retries)?;
    e.str("stale_frames")?.u32(acquisition.line.stale_frames)?;
    e.str("damaged_frames")?.u32(acquisition.line.damaged_frames)?;
    e.str("instrument")?.map(10)?.str("model")?.str(&instrument.model)?;
    e.str("serial")?.str(&instrument.serial)?;
    e.str("firmware")?.encode(instrument.firmware.as_deref())?;
    e.str("pixels")?.u64(instrument.pixels as u64)?;
    e.str("first_active_pixel")?.u64(instrument.active.start as u64)?;
    e.str("active_pixels")?.u64(instrument.active.len() as u64)?;
    e.str("laser_nm")?.f64(instrument.calibration.laser.nm())?;
    f64_array(e.str("wavelength_nm")?, &instrument.calibration.coefficients)?;
    match &instrument.nonlinearity {
        Some(nonlinearity) => f64_array(e.str("nonlinearity")?, &nonlinearity.coefficients)?,
        None => e.str("nonlinearity")?.null()?,
    };
    e.str("saturation_counts")?.f32(instrument.saturation.value())
}

fn f32_array<'e>(e: &'e mut Encoder<Vec<u8>>, values: &[f32]) -> Encoded<'e> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    e.tag(Tag::new(F32_ARRAY))?.bytes(&bytes)
}

fn f64_array<'e>(e: &'e mut Encoder<Vec<u8>>, values: &[f64]) -> Encoded<'e> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    e.tag(Tag::new(F64_ARRAY))?.bytes(&bytes)
}

/// Why bytes are no `spectrum` of this contract.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No CBOR, or another type than the contract has there.
    #[error("failed to read '{key}' of a spectrum record")]
    Value {
        /// The key, or `record`.
        key: &'static str,
        /// What the decoder says.
        #[source]
        source: minicbor::decode::Error,
    },
    /// A key that has to be there is not.
    #[error("a spectrum record has no '{key}'")]
    Missing { key: &'static str },
    /// A value outside what the contract allows.
    #[error("'{key}' of a spectrum record {fault}")]
    Unfit {
        key: &'static str,
        /// What is wrong with it, as in `has more than 100000 points`.
        fault: String,
    },
    /// Another version of the contract.
    #[error("a spectrum record of version {found}; this release reads version {VERSION}")]
    Version { found: u8 },
    /// The axis is none.
    #[error("the axis of a spectrum record is none")]
    Axis(#[source] AxisError),
    /// Counts and axis do not fit.
    #[error("the counts of a spectrum record do not fit")]
    Spectrum(#[source] ramand_core::spectrum::SpectrumError),
}

impl Failure for DecodeError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// The spectrum a `spectrum` payload was made from. Keys of later releases are passed over.
///
/// # Errors
/// When the bytes are not what the contract says.
pub fn decode_spectrum(payload: &[u8]) -> Result<RawSpectrum, DecodeError> {
    let (mut version, mut axis, mut light, mut dark, mut recorded, mut acquisition) =
        (None, None, None, None, None, None);
    let mut decoder = Decoder::new(payload);
    each_key(&mut decoder, "record", |d, key| {
        match key {
            "v" => version = Some(value("v", d.u8())?),
            "axis_cm" => axis = Some(numbers(d, "axis_cm", F64_ARRAY, f64::from_le_bytes)?),
            "light" => light = Some(numbers(d, "light", F32_ARRAY, f32::from_le_bytes)?),
            "dark" => dark = optional(d, "dark", |d| numbers(d, "dark", F32_ARRAY, f32::from_le_bytes))?,
            "recorded" => recorded = Some(value("recorded", d.str())?.to_owned()),
            "acquisition" => acquisition = Some(decode_acquisition(d)?),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    })?;
    match needed("v", version)? {
        VERSION => {}
        found => return Err(DecodeError::Version { found }),
    }
    let origin = match (acquisition, recorded) {
        (Some(acquisition), _) => Origin::Measured(acquisition),
        (None, recorded) => Origin::Recorded { id: needed("recorded", recorded)? },
    };
    let axis = ShiftAxis::new(needed("axis_cm", axis)?).map_err(DecodeError::Axis)?;
    RawSpectrum::new(Arc::new(axis), needed("light", light)?, dark, origin).map_err(DecodeError::Spectrum)
}

/// Whether a key belongs to this release's contract.
enum Known {
    Yes,
    No,
}

fn decode_acquisition(d: &mut Decoder<'_>) -> Result<Acquisition, DecodeError> {
    let (mut taken, mut integration, mut scans, mut laser, mut instrument) = (None, None, None, None, None);
    let (mut saturated_pixels, mut dark_noise, mut detector_temperature, mut device_exception) = (0, None, None, None);
    let mut line = LineStatistics::default();
    each_key(d, "acquisition", |d, key| {
        match key {
            "taken_us" => {
                let micros = value("taken_us", d.u64())?;
                let time = UNIX_EPOCH.checked_add(Duration::from_micros(micros));
                taken = Some(time.ok_or_else(|| unfit("taken_us", "is beyond any calendar"))?);
            }
            "integration_us" => integration = Some(IntegrationTime::from_micros(value("integration_us", d.u64())?)),
            "scans" => scans = Some(value("scans", d.u32())?),
            "laser" => {
                laser = Some(match value("laser", d.str())? {
                    "on" => Laser::On,
                    "off" => Laser::Off,
                    _ => Laser::Unknown,
                });
            }
            "saturated_pixels" => saturated_pixels = count(d, "saturated_pixels")?,
            "dark_noise_counts" => {
                dark_noise = value("dark_noise_counts", d.decode::<Option<f32>>())?.map(Counts::new);
            }
            "detector_temperature_c" => {
                detector_temperature = value("detector_temperature_c", d.decode::<Option<f32>>())?.map(Celsius::new);
            }
            "device_exception" => device_exception = value("device_exception", d.decode())?,
            "retries" => line.retries = value("retries", d.u32())?,
            "stale_frames" => line.stale_frames = value("stale_frames", d.u32())?,
            "damaged_frames" => line.damaged_frames = value("damaged_frames", d.u32())?,
            "instrument" => instrument = Some(decode_instrument(d)?),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    })?;
    Ok(Acquisition {
        instrument: Arc::new(needed("instrument", instrument)?),
        taken: needed("taken_us", taken)?,
        integration: needed("integration_us", integration)?,
        scans: needed("scans", scans)?,
        laser: needed("laser", laser)?,
        saturated_pixels,
        dark_noise,
        detector_temperature,
        // How long it took is told in the result, not here.
        took: std::time::Duration::ZERO,
        device_exception,
        line,
    })
}

fn decode_instrument(d: &mut Decoder<'_>) -> Result<Instrument, DecodeError> {
    let (mut model, mut serial, mut firmware, mut pixels, mut first, mut active) = (None, None, None, None, None, None);
    let (mut laser, mut wavelength, mut nonlinearity, mut saturation) = (None, None, None, None);
    each_key(d, "instrument", |d, key| {
        match key {
            "model" => model = Some(value("model", d.str())?.to_owned()),
            "serial" => serial = Some(value("serial", d.str())?.to_owned()),
            "firmware" => firmware = value("firmware", d.decode::<Option<&str>>())?.map(str::to_owned),
            "pixels" => pixels = Some(count(d, "pixels")?),
            "first_active_pixel" => first = Some(count(d, "first_active_pixel")?),
            "active_pixels" => active = Some(count(d, "active_pixels")?),
            "laser_nm" => laser = Some(Wavelength::from_nm(value("laser_nm", d.f64())?)),
            "wavelength_nm" => wavelength = Some(numbers(d, "wavelength_nm", F64_ARRAY, f64::from_le_bytes)?),
            "nonlinearity" => {
                nonlinearity =
                    optional(d, "nonlinearity", |d| numbers(d, "nonlinearity", F64_ARRAY, f64::from_le_bytes))?;
            }
            "saturation_counts" => saturation = Some(Counts::new(value("saturation_counts", d.f32())?)),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    })?;
    let first: usize = needed("first_active_pixel", first)?;
    let active = Range { start: first, end: first + needed("active_pixels", active)? };
    Ok(Instrument {
        model: needed("model", model)?,
        serial: needed("serial", serial)?,
        firmware,
        pixels: needed("pixels", pixels)?,
        active,
        calibration: WavelengthCalibration {
            coefficients: needed("wavelength_nm", wavelength)?,
            laser: needed("laser_nm", laser)?,
        },
        nonlinearity: nonlinearity.map(|coefficients| Nonlinearity { coefficients }),
        saturation: needed("saturation_counts", saturation)?,
    })
}

fn each_key<'b>(
    d: &mut Decoder<'b>,
    what: &'static str,
    mut take: impl FnMut(&mut Decoder<'b>, &str) -> Result<Known, DecodeError>,
) -> Result<(), DecodeError> {
    let entries = value(what, d.map())?.ok_or_else(|| unfit(what, "does not say how many entries it has"))?;
    if entries > KEYS_MAX {
        return Err(unfit(what, format!("has {entries} entries, more than {KEYS_MAX}")));
    }
    for _ in 0..entries {
        let key = value(what, d.str())?;
        if let Known::No = take(d, key)? {
            value(what, d.skip())?;
        }
    }
    Ok(())
}

fn optional<'b, T>(
    d: &mut Decoder<'b>,
    key: &'static str,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if value(key, d.datatype())? == Type::Null {
        value(key, d.null())?;
        return Ok(None);
    }
    read(d).map(Some)
}

fn numbers<const BYTES: usize, T>(
    d: &mut Decoder<'_>,
    key: &'static str,
    tag: u64,
    number: fn([u8; BYTES]) -> T,
) -> Result<Vec<T>, DecodeError> {
    let found = value(key, d.tag())?;
    if found != Tag::new(tag) {
        return Err(unfit(key, format!("has tag {}, not {tag}", found.as_u64())));
    }
    let (numbers, rest) = value(key, d.bytes())?.as_chunks::<BYTES>();
    if !rest.is_empty() {
        return Err(unfit(key, format!("ends with {} bytes that are no number", rest.len())));
    }
    if numbers.len() > POINTS_MAX {
        return Err(unfit(key, format!("has more than {POINTS_MAX} points")));
    }
    Ok(numbers.iter().copied().map(number).collect())
}

/// A number of pixels: bounded like the points.
fn count(d: &mut Decoder<'_>, key: &'static str) -> Result<usize, DecodeError> {
    let found = value(key, d.u64())?;
    usize::try_from(found)
        .ok()
        .filter(|&count| count <= POINTS_MAX)
        .ok_or_else(|| unfit(key, format!("is {found}, more than {POINTS_MAX}")))
}

fn value<T>(key: &'static str, read: Result<T, minicbor::decode::Error>) -> Result<T, DecodeError> {
    read.map_err(|source| DecodeError::Value { key, source })
}

fn needed<T>(key: &'static str, found: Option<T>) -> Result<T, DecodeError> {
    found.ok_or(DecodeError::Missing { key })
}

fn unfit(key: &'static str, fault: impl Into<String>) -> DecodeError {
    DecodeError::Unfit { key, fault: fault.into() }
}
