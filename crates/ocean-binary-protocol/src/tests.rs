//! The codec against frozen bytes from an independent implementation, and against any bytes at all.

use proptest::prelude::*;

use super::request::{calibration, exposure, identity, light, spectrum, temperature};
use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../tests/fixtures/", $name, ".bin")).as_slice()
    };
}

fn frame(flags: Flags, error_number: u16, message_type: MessageType, checksum: Checksum, data: &[u8]) -> Frame {
    Frame {
        version: ProtocolVersion::V1_1,
        flags,
        error_number,
        message_type,
        regarding: 0,
        checksum,
        data: data.to_vec(),
    }
}

#[test]
fn golden_frames_are_read_and_written_byte_for_byte() {
    let check = |bytes: &[u8], frame: Frame| {
        assert_eq!(Frame::decode(bytes), Ok(frame.clone()));
        assert_eq!(frame.encode(), Ok(bytes.to_vec()));
    };
    let set_integration = exposure::SetIntegrationTime { integration: IntegrationTime::from_micros(100_000) };
    let pixels = spectrum::CorrectedSpectrum { pixels: 1024, integration: IntegrationTime::from_micros(0), scans: 1 };
    check(fixture!("host_get_serial_number"), identity::SerialNumber.frame(0, Checksum::None));
    check(fixture!("host_set_integration_time_acknowledged"), set_integration.frame(0, Checksum::None));
    check(fixture!("host_get_corrected_spectrum"), pixels.frame(0, Checksum::None));
    let coefficient = calibration::WavelengthCoefficient { index: 2 };
    check(fixture!("host_get_wavelength_coefficient_2"), coefficient.frame(0, Checksum::None));

    let device = |flags, error, message_type, checksum, data: &[u8]| frame(flags, error, message_type, checksum, data);
    let user_string: Vec<u8> = (0..20).collect();
    let check_device = |bytes, flags, error, number, checksum, data: &[u8]| {
        check(bytes, device(flags, error, MessageType::new(number), checksum, data));
    };
    let plain = Checksum::None;
    let bytes = fixture!("host_set_user_string_payload");
    check_device(bytes, Flags::ACK_REQUESTED, 0, 0x310, plain, &user_string);
    check_device(fixture!("device_serial_number"), Flags::RESPONSE, 0, 0x100, plain, b"S12345");
    let ack = Flags::RESPONSE.with(Flags::ACK);
    check_device(fixture!("device_ack_set_integration_time"), ack, 0, 0x0011_0010, plain, &[]);
    let nack = Flags::RESPONSE.with(Flags::NACK);
    check_device(fixture!("device_nack_12_wavelength_coefficient"), nack, 12, 0x0018_0101, plain, &[]);
    let bytes = fixture!("device_wavelength_coefficient_md5");
    check_device(bytes, Flags::RESPONSE, 0, 0x0018_0101, Checksum::Md5, &0.18_f32.to_le_bytes());
}

#[test]
fn a_nack_names_its_error() {
    let nack = Frame::decode(fixture!("device_nack_12_wavelength_coefficient")).expect("golden");
    assert_eq!(nack.device_error(), Some(DeviceError::NoSuchInformation));
    for number in 0..=u16::MAX {
        assert_eq!(DeviceError::from_number(number).number(), number);
    }
}

#[test]
fn a_header_that_cannot_be_is_refused_for_its_own_reason() {
    let check = |at: usize, value: u8, expected: FrameError| {
        let mut bytes = fixture!("device_serial_number").to_vec();
        bytes[at] = value;
        assert_eq!(Frame::decode(&bytes), Err(expected), "byte {at}");
    };
    check(0, 0, FrameError::Start);
    check(3, 0x20, FrameError::Version(0x2000));
    check(22, 2, FrameError::ChecksumType(2));
    check(23, 17, FrameError::ImmediateLength(17));
    check(40, 19, FrameError::Remaining(19));
    check(43, 1, FrameError::Remaining(0x0100_0014));
    check(40, 21, FrameError::TwoData);
    check(63, 0, FrameError::Footer);
    let short = &fixture!("device_serial_number")[..63];
    assert_eq!(Frame::decode(short), Err(FrameError::TooShort { expected: 64, found: 63 }));
    let too_long = frame(Flags::NONE, 0, MessageType::CLEAR_BUFFER, Checksum::None, &vec![0; PAYLOAD_LEN_MAX + 1]);
    assert_eq!(too_long.encode(), Err(FrameError::DataTooLong(PAYLOAD_LEN_MAX + 1)));
}

#[test]
fn answers_are_parsed_with_their_lengths_checked() {
    let f32s = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(identity::SerialNumber.parse(b"S12345\0junk"), Ok("S12345".to_owned()));
    assert!(identity::SerialNumber.parse(b"S\xFF").is_err());
    let firmware = identity::FirmwareRevision.parse(&[0x23, 0x01]).expect("two bytes");
    assert_eq!(firmware.to_string(), "1.23");
    assert_eq!(exposure::IntegrationTimeMin.parse(&[0x40, 0x1F, 0, 0]), Ok(IntegrationTime::from_micros(8_000)));
    assert_eq!(exposure::PixelCount.parse(&[0, 4]), Ok(1024));
    assert_eq!(exposure::PixelCount.parse(&[0, 4, 0, 0]), Ok(1024));
    assert!(exposure::PixelCount.parse(&[0, 4, 0]).is_err());
    assert_eq!(temperature::TecStable.parse(&[1]), Ok(true));
    assert_eq!(temperature::Temperatures.parse(&f32s(&[20.5, f32::NAN])), Ok(vec![Some(Celsius::new(20.5)), None]));
    assert!(temperature::Temperatures.parse(&[0; 7]).is_err());
    assert!(calibration::WavelengthCoefficient { index: 0 }.parse(&f32s(&[f32::INFINITY])).is_err());
    assert_eq!(light::EnableLightSource { module: 0, source: 1, enabled: true }.data(), [0, 1, 1]);

    let integration = IntegrationTime::from_micros(7);
    let sts = spectrum::CorrectedSpectrum { pixels: 3, integration, scans: 1 };
    assert_eq!(sts.parse(&[1, 0, 0xFF, 0x3F, 0xC1, 0xC0]), Ok(vec![1, 16_383, 0xC0C1]));
    let wrong = ResponseError::Length { message_type: MessageType::CORRECTED_SPECTRUM, expected: 6, found: 5 };
    assert_eq!(sts.parse(&[0; 5]), Err(wrong));

    // Laid out by hand from the QE Pro data sheet: count 3, tick 5, integration 7, trigger mode 2, one pixel of 200000.
    let mut data = vec![3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 2];
    data.resize(32, 0);
    let metadata = spectrum::Metadata { spectrum_count: 3, tick_us: 5, integration, trigger_mode: 2 };
    data.extend([0x40, 0x0D, 0x03, 0x00]);
    let qepro = spectrum::BufferedSpectrum { pixels: 1, integration, scans: 1 };
    assert_eq!(qepro.parse(&data), Ok(spectrum::Buffered { metadata, pixels: vec![200_000] }));
    assert!(qepro.parse(&data[..35]).is_err());
}

#[test]
fn a_spectrum_of_eight_pixels_travels_as_immediate_data() {
    let pixels: Vec<u8> = (1..=8_u16).flat_map(u16::to_le_bytes).collect();
    let reply = frame(Flags::RESPONSE, 0, MessageType::CORRECTED_SPECTRUM, Checksum::None, &pixels);
    let bytes = reply.encode().expect("short");
    assert_eq!(bytes.len(), 64);
    let request = spectrum::CorrectedSpectrum { pixels: 8, integration: IntegrationTime::from_micros(10), scans: 1 };
    let parsed = request.parse(&Frame::decode(&bytes).expect("whole").data);
    assert_eq!(parsed, Ok((1..=8).collect()));
}

#[test]
fn pixel_bytes_that_look_like_a_start_survive() {
    let inner = identity::SerialNumber.frame(9, Checksum::Md5).encode().expect("short");
    let payload: Vec<u8> = [0xC1, 0xC0].repeat(500).into_iter().chain(inner).collect();
    let outer = frame(Flags::RESPONSE, 0, MessageType::CORRECTED_SPECTRUM, Checksum::None, &payload);
    let mut framer = Framer::new();
    assert_eq!(framer.push(&outer.encode().expect("short")), [outer]);
    assert_eq!(framer.statistics(), FramerStatistics::default());
}

#[test]
fn a_frame_cut_short_does_not_hide_the_next_ones() {
    let spectrum = frame(Flags::RESPONSE, 0, MessageType::CORRECTED_SPECTRUM, Checksum::Md5, &[7; 200]);
    let bytes = spectrum.encode().expect("short");
    let mut framer = Framer::new();
    assert_eq!(framer.push(&bytes[..150]), []);
    // The cut frame's announced length ends within the next frame: its footer is missing there, and the search goes on.
    assert_eq!(framer.push(&bytes), std::slice::from_ref(&spectrum));
    assert_eq!(framer.statistics(), FramerStatistics { damaged_frames: 1, dropped_bytes: 150 });

    assert_eq!(framer.push(&bytes[..150]), []);
    framer.reset();
    assert_eq!(framer.push(&bytes), [spectrum]);
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..=16),
        proptest::collection::vec(prop_oneof![Just(0xC1), Just(0xC0), any::<u8>()], 17..300),
    ];
    let checksum = prop_oneof![Just(Checksum::None), Just(Checksum::Md5)];
    let version = prop_oneof![Just(ProtocolVersion::V1_0), Just(ProtocolVersion::V1_1)];
    let rest = (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>());
    (data, checksum, version, rest).prop_map(|(data, checksum, version, (flags, error_number, number, regarding))| {
        let flags = Flags::from_bits(flags);
        let message_type = MessageType::new(number);
        Frame { version, flags, error_number, message_type, regarding, checksum, data }
    })
}

/// Noise without the start marker, which the two-byte search must step over; it may end in half a marker.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(prop_oneof![Just(0xC1), Just(0xC2), any::<u8>()], 0..40);
    bytes.prop_map(|bytes| bytes.into_iter().map(|byte| if byte == 0xC0 { 0 } else { byte }).collect())
}

fn push_in_portions(stream: &[u8], portions: &[usize]) -> (Vec<Frame>, FramerStatistics) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    let mut rest = stream;
    for &portion in portions.iter().cycle() {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        frames.extend(framer.push(now));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    (frames, framer.statistics())
}

proptest! {
    #[test]
    fn every_frame_survives_the_wire(frame in any_frame()) {
        let bytes = frame.encode().expect("within the limit");
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn any_split_of_a_noisy_stream_gives_the_same_frames(
        parts in proptest::collection::vec((noise(), any_frame()), 1..8),
        portions in proptest::collection::vec(1_usize..100, 1..10),
    ) {
        let mut stream = Vec::new();
        for (noise, frame) in &parts {
            stream.extend(noise);
            stream.extend(frame.encode().expect("within the limit"));
        }
        let sent: Vec<Frame> = parts.iter().map(|(_, frame)| frame.clone()).collect();
        let (received, statistics) = push_in_portions(&stream, &portions);
        prop_assert_eq!(received, sent);
        let noise: usize = parts.iter().map(|(noise, _)| noise.len()).sum();
        prop_assert_eq!(statistics, FramerStatistics { damaged_frames: 0, dropped_bytes: noise as u64 });
    }

    #[test]
    fn any_bytes_in_any_portions_give_the_same_frames(
        stream in proptest::collection::vec(prop_oneof![Just(0xC1), Just(0xC0), Just(0x11), Just(0), any::<u8>()], 0..600),
        portions in proptest::collection::vec(1_usize..100, 1..10),
    ) {
        prop_assert_eq!(push_in_portions(&stream, &portions), push_in_portions(&stream, &[FRAME_LEN_MAX]));
        let _ = Frame::decode(&stream);
    }

    #[test]
    fn one_changed_byte_of_an_md5_frame_is_noticed(
        frame in any_frame(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let frame = Frame { checksum: Checksum::Md5, ..frame };
        let mut bytes = frame.encode().expect("within the limit");
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(Frame::decode(&bytes).is_err());
        prop_assert_eq!(Framer::new().push(&bytes), []);
    }
}
