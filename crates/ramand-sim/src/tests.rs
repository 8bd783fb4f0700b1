//! The state machine before the physics: every answer a host may expect, and every fault.

use std::time::Duration;

use ocean_binary_protocol::{Checksum, DeviceError, Flags, Frame, Framer, MessageType, ProtocolVersion};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::camera::Camera;
use super::detector::Noise;
use super::faults::Fault;
use super::oils::Substance;
use super::profile::InstrumentFamily;
use super::responder::{LineOutput, Responder};
use super::scenario::{Scenario, ScenarioPlayer};
use super::stage::{OnStage, SampleStage};
use super::unit::InstrumentUnit;

const NOW: Duration = Duration::from_secs(10);
const BAUD: u32 = 9_600;

/// A device with olive oil on its stage.
fn device(profile: InstrumentFamily) -> Responder {
    let olive = Substance::named("olive").expect("in the table");
    let rng = || ChaCha8Rng::seed_from_u64(3);
    let stage = SampleStage::Scenario(Box::new(ScenarioPlayer::new(Scenario::always(vec![(olive, 1.0)]), rng())));
    Responder::new(Camera::new(InstrumentUnit::new(profile, 12_345), stage, Noise::Physical, rng()), BAUD, rng())
}

fn query(message_type: u32, data: &[u8]) -> Frame {
    Frame {
        version: ProtocolVersion::V1_1,
        flags: Flags::NONE,
        error_number: 0,
        message_type: MessageType::new(message_type),
        regarding: 77,
        checksum: Checksum::None,
        data: data.to_vec(),
    }
}

fn command(message_type: u32, data: &[u8]) -> Frame {
    Frame { flags: Flags::ACK_REQUESTED, ..query(message_type, data) }
}

/// Everything due within an hour: the bytes, and when each output came.
fn outputs(device: &mut Responder) -> Vec<(Duration, LineOutput)> {
    let mut found = Vec::new();
    while let Some(at) = device.next_at() {
        found.extend(device.take_due(at).map(|output| (at, output)));
    }
    found
}

fn bytes_of(output: &LineOutput) -> Vec<u8> {
    match output {
        LineOutput::Send(pieces) => pieces.iter().flat_map(|piece| piece.bytes.clone()).collect(),
        LineOutput::Baud(_) => Vec::new(),
    }
}

/// The frames a request leads to, as a framer finds them in the bytes, and when the first one is due.
fn answers_at(device: &mut Responder, request: &Frame) -> (Option<Duration>, Vec<Frame>) {
    device.receive(request, NOW);
    let outputs = outputs(device);
    let mut framer = Framer::new();
    let frames = outputs.iter().flat_map(|(_, output)| framer.push(&bytes_of(output))).collect();
    (outputs.first().map(|(at, _)| *at), frames)
}

fn answers(device: &mut Responder, request: &Frame) -> Vec<Frame> {
    answers_at(device, request).1
}

fn answer(device: &mut Responder, request: &Frame) -> Frame {
    let frames = answers(device, request);
    assert_eq!(frames.len(), 1, "{request:?}");
    frames.into_iter().next().expect("one")
}

fn error_of(device: &mut Responder, request: &Frame) -> u16 {
    let frame = answer(device, request);
    assert!(frame.flags.contains(Flags::NACK.with(Flags::RESPONSE)), "{frame:?}");
    frame.error_number
}

fn laser(on: u8) -> Frame {
    command(0x0081_0031, &[0, 0, on])
}

fn inject(device: &mut Responder, fault: &str) {
    device.inject(fault.parse::<Fault>().expect(fault));
}

#[test]
fn frozen_requests_get_the_frozen_replies() {
    let check = |request: Frame, expected: &[u8]| {
        let mut device = device(InstrumentFamily::QePro);
        device.receive(&request, NOW);
        let outputs = outputs(&mut device);
        assert_eq!(outputs.len(), 1, "{request:?}");
        assert_eq!(bytes_of(&outputs[0].1), expected, "{request:?}");
    };
    let set_integration =
        include_bytes!("../../ocean-binary-protocol/tests/fixtures/host_set_integration_time_acknowledged.bin");
    let acknowledgement =
        include_bytes!("../../ocean-binary-protocol/tests/fixtures/device_ack_set_integration_time.bin");
    check(Frame::decode(set_integration).expect("frozen"), acknowledgement);
    let absent = include_bytes!("../../ocean-binary-protocol/tests/fixtures/device_nack_12_wavelength_coefficient.bin");
    check(Frame { regarding: 0, ..query(0x0018_0101, &[200]) }, absent);
}

#[test]
fn everything_a_vendor_client_asks_at_open_has_its_length() {
    // Message type, data, bytes of the answer on a QE Pro and on an STS.
    #[rustfmt::skip]
    let table: [(u32, &[u8], usize, usize); 24] = [
        (0x0000_0101, &[], 1, 1), (0x0000_0100, &[], 8, 6), (0x0000_0080, &[], 1, 1), (0x0000_0090, &[], 2, 2),
        (0x0018_0100, &[], 1, 1), (0x0018_0101, &[3], 4, 4), (0x0018_1100, &[], 1, 1), (0x0018_1101, &[7], 4, 4),
        (0x0018_3100, &[], 1, 1), (0x0018_3101, &[0], 4, 4), (0x0011_0000, &[], 4, 4), (0x0011_0001, &[], 4, 4),
        (0x0011_0002, &[], 4, 4), (0x0011_0100, &[], 1, 1), (0x0011_0220, &[], 4, 4), (0x0012_0000, &[], 2, 2),
        (0x0012_1000, &[], 1, 1), (0x0040_0000, &[], 1, 1), (0x0040_0001, &[0], 4, 4), (0x0040_0002, &[], 16, 12),
        (0x0000_0800, &[], 4, 4), (0x0000_0804, &[], 1, 1), (0x0000_0005, &[], 4, 4), (0x0011_0400, &[], 1, 1),
    ];
    for (message_type, data, qepro, sts) in table {
        for (profile, expected) in [(InstrumentFamily::QePro, qepro), (InstrumentFamily::Sts, sts)] {
            let found = answer(&mut device(profile), &query(message_type, data));
            assert_eq!(
                (found.data.len(), found.flags),
                (expected, Flags::RESPONSE),
                "{message_type:#010x} {profile:?}"
            );
            assert_eq!((found.regarding, found.message_type.number()), (77, message_type));
        }
    }
    for (message_type, data) in [(0x0042_0000, &[][..]), (0x0042_0003, &[]), (0x0081_0021, &[0, 0])] {
        assert_eq!(answer(&mut device(InstrumentFamily::QePro), &query(message_type, data)).data.len(), 1);
        let refused = error_of(&mut device(InstrumentFamily::Sts), &query(message_type, data));
        assert_eq!(refused, DeviceError::UnknownMessageType.number());
    }
}

#[test]
fn a_refusal_says_what_was_wrong() {
    let check = |profile, request: Frame, expected: DeviceError| {
        assert_eq!(error_of(&mut device(profile), &request), expected.number(), "{request:?}");
    };
    for profile in InstrumentFamily::ALL {
        check(profile, query(0x00FF_FFFF, &[]), DeviceError::UnknownMessageType);
        check(profile, query(0x0018_0101, &[4]), DeviceError::NoSuchInformation);
        check(profile, query(0x0018_0101, &[]), DeviceError::PayloadLength);
        check(profile, query(0x0000_0100, &[1]), DeviceError::PayloadLength);
        check(profile, query(0x0018_6000, &[]), DeviceError::NoSuchInformation);
        check(profile, command(0x0011_0010, &[1, 0]), DeviceError::PayloadLength);
        check(profile, command(0x0011_0010, &[0; 4]), DeviceError::PayloadInvalid);
        check(profile, command(0x0011_0110, &[9]), DeviceError::PayloadInvalid);
        check(profile, command(0x0012_0010, &[0, 0]), DeviceError::PayloadInvalid);
        check(profile, command(0x0000_0810, &300_u32.to_le_bytes()), DeviceError::PayloadInvalid);
        check(profile, command(0x0000_0010, &[2]), DeviceError::UnknownChecksumType);
    }
    check(InstrumentFamily::QePro, query(0x0010_1000, &[]), DeviceError::UnknownMessageType);
    check(InstrumentFamily::Sts, query(0x0010_0928, &[]), DeviceError::UnknownMessageType);
    check(InstrumentFamily::QePro, command(0x0081_0031, &[1, 0, 1]), DeviceError::PayloadInvalid);
    check(InstrumentFamily::QePro, command(0x0081_0031, &[0, 0, 2]), DeviceError::PayloadInvalid);
    check(InstrumentFamily::QePro, command(0x0042_0011, &f32::NAN.to_le_bytes()), DeviceError::PayloadInvalid);
}

#[test]
fn a_command_is_answered_only_when_it_asks_for_it() {
    let mut device = device(InstrumentFamily::QePro);
    let unacknowledged = |data: &[u8]| Frame { flags: Flags::NONE, ..command(0x0011_0010, data) };
    assert!(answers(&mut device, &unacknowledged(&50_000_u32.to_le_bytes())).is_empty());
    assert_eq!(answer(&mut device, &query(0x0011_0000, &[])).data, 50_000_u32.to_le_bytes());
    assert!(answers(&mut device, &unacknowledged(&[0; 4])).is_empty());
    let acknowledged = answer(&mut device, &command(0x0011_0010, &60_000_u32.to_le_bytes()));
    assert_eq!(acknowledged.flags, Flags::RESPONSE.with(Flags::ACK));
    assert!(acknowledged.data.is_empty());
    // What is itself a response is no request: an echo must not start a conversation.
    assert!(answers(&mut device, &Frame { flags: Flags::RESPONSE, ..query(0x0000_0100, &[]) }).is_empty());
}

#[test]
fn replies_carry_an_md5_when_the_request_does_or_the_host_has_asked_for_it() {
    let mut device = device(InstrumentFamily::QePro);
    let checksum =
        |device: &mut Responder, checksum| answer(device, &Frame { checksum, ..query(0x0000_0100, &[]) }).checksum;
    assert_eq!(checksum(&mut device, Checksum::None), Checksum::None);
    assert_eq!(checksum(&mut device, Checksum::Md5), Checksum::Md5);
    answer(&mut device, &command(0x0000_0010, &[1]));
    assert_eq!(checksum(&mut device, Checksum::None), Checksum::Md5);
    answer(&mut device, &command(0x0000_0010, &[0]));
    assert_eq!(checksum(&mut device, Checksum::None), Checksum::None);
}

#[test]
fn a_spectrum_comes_after_its_exposures() {
    for (profile, message_type, len) in
        [(InstrumentFamily::QePro, 0x0010_0928, 4208), (InstrumentFamily::Sts, 0x0010_1000, 2048)]
    {
        let mut device = device(profile);
        answer(&mut device, &command(0x0011_0010, &30_000_u32.to_le_bytes()));
        answer(&mut device, &command(0x0012_0010, &4_u16.to_le_bytes()));
        let (ready_at, frames) = answers_at(&mut device, &query(message_type, &[]));
        assert_eq!((ready_at, frames[0].data.len()), (Some(NOW + Duration::from_millis(120)), len));
    }
}

#[test]
fn the_buffer_of_a_qe_pro_holds_what_was_started_until_it_is_fetched_cleared_or_aborted() {
    let mut device = device(InstrumentFamily::QePro);
    let exposure = Duration::from_millis(100);
    device.receive(&command(0x0010_0902, &[]), NOW);
    let buffered = |device: &mut Responder, at| {
        outputs(device);
        device.receive(&query(0x0010_0900, &[]), at);
        device.receive(&query(0x0010_0908, &[]), at);
        let sent = outputs(device);
        let frames = sent.iter().map(|(_, output)| Frame::decode(&bytes_of(output)).expect("whole").data[0]);
        frames.collect::<Vec<u8>>()
    };
    assert_eq!(buffered(&mut device, NOW), [0, 0], "still exposing");
    assert_eq!(buffered(&mut device, NOW + exposure), [1, 1], "done, idle");
    let (ready_at, _) = answers_at(&mut device, &query(0x0010_0928, &[]));
    assert_eq!(ready_at, Some(NOW + exposure));
    // An aborted exposure leaves nothing behind, and a request that waited for it is forgotten.
    device.receive(&query(0x0010_0928, &[]), NOW + exposure);
    device.receive(&command(0x0010_0000, &[]), NOW + exposure);
    let left = outputs(&mut device);
    assert_eq!((left.len(), bytes_of(&left[0].1).len()), (1, 64));
    assert_eq!(buffered(&mut device, NOW + exposure), [0, 1]);
    device.receive(&command(0x0010_0902, &[]), NOW + exposure);
    device.receive(&command(0x0010_0830, &[]), NOW + 3 * exposure);
    assert_eq!(buffered(&mut device, NOW + 3 * exposure), [0, 1]);
}

#[test]
fn metadata_tells_count_clock_and_integration_time() {
    let mut device = device(InstrumentFamily::QePro);
    answer(&mut device, &command(0x0011_0010, &20_000_u32.to_le_bytes()));
    for count in 0..3_u32 {
        let data = answer(&mut device, &query(0x0010_0928, &[])).data;
        let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((word(0), word(12)), (count, 20_000));
    }
}

#[test]
fn an_external_trigger_releases_the_spectrum() {
    let mut device = device(InstrumentFamily::QePro);
    answer(&mut device, &command(0x0011_0110, &[3]));
    assert!(answers(&mut device, &query(0x0010_0928, &[])).is_empty());
    let frames = answers(&mut device, &command(0x0011_0120, &[]));
    assert_eq!(frames.iter().map(|frame| frame.data.len()).collect::<Vec<_>>(), [4208, 0]);
}

#[test]
fn the_laser_lights_the_sample_and_the_interlock_puts_it_out() {
    for (profile, switch) in
        [(InstrumentFamily::QePro, laser as fn(u8) -> Frame), (InstrumentFamily::Sts, |on| command(0x0011_0410, &[on]))]
    {
        let mut device = device(profile);
        let spectrum = query(if profile == InstrumentFamily::QePro { 0x0010_0928 } else { 0x0010_1000 }, &[]);
        let total = |frame: &Frame| frame.data.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        let dark = total(&answer(&mut device, &spectrum));
        assert!(device.take_served().is_empty() && !device.laser_is_on());
        answer(&mut device, &switch(1));
        assert!(device.laser_is_on());
        let lit = answer(&mut device, &spectrum);
        assert_ne!(total(&lit), dark);
        let served = device.take_served();
        assert_eq!(served[0].on_stage, OnStage::Oils(vec![("olive", 100.0)]));
        inject(&mut device, "interlock-open");
        assert!(!device.laser_is_on());
        assert_eq!(error_of(&mut device, &switch(1)), DeviceError::NotReady.number());
        answer(&mut device, &switch(0));
        inject(&mut device, "interlock-closed");
        assert!(!device.laser_is_on(), "closing the door does not fire the laser");
        answer(&mut device, &switch(1));
        assert!(device.laser_is_on());
        answer(&mut device, &command(0x0000_0000, &[]));
        assert!(!device.laser_is_on(), "a restarted device is dark");
    }
}

#[test]
fn the_speed_changes_after_the_acknowledgement() {
    let mut device = device(InstrumentFamily::QePro);
    device.receive(&command(0x0000_0810, &57_600_u32.to_le_bytes()), NOW);
    let outputs = outputs(&mut device);
    assert!(
        matches!(outputs[0].1, LineOutput::Send(_)) && outputs[1].1 == LineOutput::Baud(57_600) && outputs.len() == 2
    );
    // Not saved, so a restart brings the old speed back.
    device.receive(&command(0x0000_0000, &[]), NOW);
    assert_eq!(self::outputs(&mut device)[1].1, LineOutput::Baud(BAUD));
    device.receive(&command(0x0000_0810, &57_600_u32.to_le_bytes()), NOW);
    device.receive(&command(0x0000_08F0, &[]), NOW);
    device.receive(&command(0x0000_0000, &[]), NOW);
    assert_eq!(self::outputs(&mut device).last().expect("some").1, LineOutput::Baud(57_600));
}

#[test]
fn sts_pixels_can_be_binned_and_chosen() {
    let mut device = device(InstrumentFamily::Sts);
    answer(&mut device, &command(0x0011_0290, &[2]));
    assert_eq!(answer(&mut device, &query(0x0010_1000, &[])).data.len(), 2 * 256);
    assert_eq!(answer(&mut device, &query(0x0011_0220, &[])).data, 256_u32.to_le_bytes());
    answer(&mut device, &command(0x0011_0290, &[0]));
    let mode =
        |words: &[u16]| command(0x0010_2010, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
    answer(&mut device, &mode(&[2, 100, 5, 8]));
    assert_eq!(answer(&mut device, &query(0x0010_2080, &[])).data.len(), 16);
    assert_eq!(error_of(&mut device, &mode(&[2, 1000, 5, 8])), DeviceError::PayloadInvalid.number());
    assert_eq!(error_of(&mut device, &mode(&[1, 0])), DeviceError::PayloadInvalid.number());
}

#[test]
fn every_fault_shows_on_the_line_and_then_ends() {
    let request = query(0x0000_0100, &[]);
    let good = answer(&mut device(InstrumentFamily::QePro), &request).encode().expect("short");
    // The bytes of the next reply, and of the one after it.
    let check = |fault: &str, holds: &dyn Fn(&[u8]) -> bool| {
        let mut device = device(InstrumentFamily::QePro);
        inject(&mut device, fault);
        let mut next = || {
            device.receive(&request, NOW);
            outputs(&mut device).iter().flat_map(|(_, output)| bytes_of(output)).collect::<Vec<u8>>()
        };
        let (faulty, healthy) = (next(), next());
        assert!(holds(&faulty), "{fault}: {faulty:02x?}");
        assert_eq!(healthy, good, "{fault} once");
    };
    let frame = |bytes: &[u8]| Frame::decode(bytes).expect("a whole frame");
    check("drop-byte=30", &|bytes| bytes.len() == 63 && bytes[..30] == good[..30] && bytes[30..] == good[31..]);
    check("duplicate-byte=30", &|bytes| bytes.len() == 65 && bytes[30] == bytes[31]);
    check("flip-byte=30", &|bytes| bytes.len() == 64 && bytes[30] == !good[30]);
    check("noise=17", &|bytes| bytes.len() == 81 && bytes[17..] == good);
    check("fragment=10", &|bytes| bytes == good);
    check("stall=500", &|bytes| bytes == good);
    check("silence", &<[u8]>::is_empty);
    check("duplicate-reply", &|bytes| bytes == [good.clone(), good.clone()].concat());
    check("leftover", &|bytes| bytes.len() == 4272 + 64 && bytes[4272..] == good);
    check("nack=7", &|bytes| frame(bytes).error_number == 7 && frame(bytes).flags.contains(Flags::NACK));
    check("nack=0x00000100:13", &|bytes| frame(bytes).error_number == 13);
    check("old-version", &|bytes| frame(bytes).version == ProtocolVersion::V1_0);
    check("wrong-regarding", &|bytes| frame(bytes).regarding == 78);
    check("short-data", &|bytes| frame(bytes).data.len() == 7);
    check("brown-out", &|bytes| frame(bytes).error_number == DeviceError::UnexpectedReset.number());
}

#[test]
fn faults_that_need_time_or_a_spectrum() {
    let mut device = device(InstrumentFamily::QePro);
    inject(&mut device, "fragment=10");
    inject(&mut device, "stall=500");
    device.receive(&query(0x0000_0100, &[]), NOW);
    let LineOutput::Send(pieces) = &outputs(&mut device)[0].1 else { panic!("a reply") };
    let pauses: Vec<u128> = pieces.iter().map(|piece| piece.pause.as_millis()).collect();
    assert_eq!(pauses, [0, 20, 20, 20, 20, 20, 20, 500]);

    inject(&mut device, "deferred=250");
    device.receive(&query(0x0000_0100, &[]), NOW);
    let sent = outputs(&mut device);
    let errors: Vec<u16> =
        sent.iter().map(|(_, output)| Frame::decode(&bytes_of(output)).expect("whole").error_number).collect();
    assert_eq!((errors, sent[1].0), (vec![255, 0], NOW + Duration::from_millis(250)));

    inject(&mut device, "nack=0x00110010:6");
    assert_eq!(answer(&mut device, &query(0x0000_0100, &[])).error_number, 0, "another type is not hit");
    assert_eq!(error_of(&mut device, &command(0x0011_0010, &10_000_u32.to_le_bytes())), 6);

    inject(&mut device, "exception");
    let spectrum = answer(&mut device, &query(0x0010_0928, &[]));
    assert!(spectrum.flags.contains(Flags::EXCEPTION));

    answer(&mut device, &command(0x0011_0010, &10_000_u32.to_le_bytes()));
    inject(&mut device, "stale-buffer");
    let integration = |frame: Frame| u32::from_le_bytes(frame.data[12..16].try_into().expect("four bytes"));
    assert_eq!(integration(answer(&mut device, &query(0x0010_0928, &[]))), 100_000, "from before");
    assert_eq!(integration(answer(&mut device, &query(0x0010_0928, &[]))), 10_000);

    let brightest = |frame: &Frame| {
        let counts = frame.data[32..].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four")));
        counts.max().expect("pixels")
    };
    answer(&mut device, &command(0x0011_0010, &100_000_u32.to_le_bytes()));
    answer(&mut device, &laser(1));
    inject(&mut device, "saturation");
    assert_eq!(brightest(&answer(&mut device, &query(0x0010_0928, &[]))), 200_000);
    assert!(brightest(&answer(&mut device, &query(0x0010_0928, &[]))) < 100_000);
    inject(&mut device, "laser-power=0");
    assert!(brightest(&answer(&mut device, &query(0x0010_0928, &[]))) < 2_000, "a dead laser that says it is on");
    assert!(device.laser_is_on());

    inject(&mut device, "tec-drift=5");
    assert_eq!(answer(&mut device, &query(0x0042_0003, &[])).data, [0], "not stable any more");
    inject(&mut device, "bare-ack");
    assert_eq!(answer(&mut device, &laser(0)).flags, Flags::ACK);
    inject(&mut device, "hang-up=300");
    assert_eq!(device.take_hang_up(), Some(Duration::from_millis(300)));
}

#[test]
fn a_host_that_never_listens_costs_bounded_memory() {
    let mut device = device(InstrumentFamily::QePro);
    for _ in 0..10_000 {
        device.receive(&query(0x0000_0100, &[]), NOW);
    }
    assert!(outputs(&mut device).len() <= 64);
}
