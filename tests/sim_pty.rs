//! The simulator as a host meets it: a port with a name, a speed, and a plug that can be pulled.

#[path = "support/stretched.rs"]
mod stretched;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ocean_binary_protocol::{Checksum, Flags, Frame, Framer, MessageType, ProtocolVersion};
use ramand_core::spectrum::Laser;
use ramand_recording::Recording;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{OnStage, Pacing, ReplayNoise, Simulator, SimulatorSettings, StageSource};
use serialport::SerialPort;
use stretched::stretched;

/// Longer than any answer takes here, on a busy machine too.
fn patience() -> Duration {
    stretched(Duration::from_secs(10))
}

/// How long nothing has to come before it counts as silence.
const SILENCE: Duration = Duration::from_millis(150);

const SERIAL_NUMBER: MessageType = MessageType::SERIAL_NUMBER;

fn open(link: &Path, baud: u32) -> Box<dyn SerialPort> {
    let link = link.to_str().expect("a temporary folder's name is text");
    serialport::new(link, baud).timeout(patience()).open().expect("the link leads to a terminal")
}

fn request(message_type: MessageType, flags: Flags, data: &[u8]) -> Vec<u8> {
    let version = ProtocolVersion::V1_1;
    let data = data.to_vec();
    let frame = Frame { version, flags, error_number: 0, message_type, regarding: 5, checksum: Checksum::Md5, data };
    frame.encode().expect("short")
}

/// Sends a request and reads until a frame is whole.
fn ask(port: &mut dyn SerialPort, message_type: MessageType, flags: Flags, data: &[u8]) -> Frame {
    port.write_all(&request(message_type, flags, data)).expect("the simulator listens");
    let (mut framer, mut buffer) = (Framer::new(), [0; 4096]);
    loop {
        let number = port.read(&mut buffer).expect("an answer within the patience");
        if let Some(frame) = framer.push(&buffer[..number]).into_iter().next() {
            return frame;
        }
    }
}

/// One spectrum of a QE Pro, counts.
fn pixels(port: &mut dyn SerialPort) -> Vec<f64> {
    let data = ask(port, MessageType::BUFFERED_SPECTRUM, Flags::NONE, &[]).data;
    data[32..].chunks_exact(4).map(|word| f64::from(u32::from_le_bytes(word.try_into().expect("four bytes")))).collect()
}

fn hears_nothing(port: &mut dyn SerialPort) -> bool {
    port.set_timeout(SILENCE).expect("settable");
    port.write_all(&request(SERIAL_NUMBER, Flags::NONE, &[])).expect("the terminal takes bytes");
    let heard = port.read(&mut [0; 64]);
    port.set_timeout(patience()).expect("settable");
    heard.is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

#[test]
fn a_host_at_the_right_speed_is_answered_and_one_at_another_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let simulator =
        Simulator::start(SimulatorSettings::new(InstrumentFamily::Sts, folder.path().join("sts"))).expect("a terminal");
    let mut port = open(simulator.link(), 9_600);
    assert!(hears_nothing(&mut *port));
    port.set_baud_rate(115_200).expect("settable");
    assert_eq!(ask(&mut *port, SERIAL_NUMBER, Flags::NONE, &[]).data, simulator.serial().as_bytes());
    // The device moves to another speed with the host, and only then.
    let slower = 57_600_u32.to_le_bytes();
    assert!(ask(&mut *port, MessageType::SET_BAUD_RATE, Flags::ACK_REQUESTED, &slower).flags.contains(Flags::ACK));
    assert!(hears_nothing(&mut *port));
    port.set_baud_rate(57_600).expect("settable");
    assert_eq!(ask(&mut *port, SERIAL_NUMBER, Flags::NONE, &[]).data, simulator.serial().as_bytes());
}

#[test]
fn bytes_take_the_time_the_line_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    for (baud, least_ms) in [(38_400, 550), (230_400, 90)] {
        let settings =
            SimulatorSettings { baud, ..SimulatorSettings::new(InstrumentFamily::QePro, folder.path().join("qepro")) };
        let simulator = Simulator::start(settings).expect("a terminal");
        let mut port = open(simulator.link(), baud);
        // 2112 of the spectrum's 4272 bytes at least have to pass after the exposure, at ten bits each.
        let began = Instant::now();
        let spectrum = ask(&mut *port, MessageType::BUFFERED_SPECTRUM, Flags::NONE, &[]);
        assert_eq!(spectrum.data.len(), 4208);
        assert!(began.elapsed() > Duration::from_millis(least_ms), "{baud}: {:?}", began.elapsed());
    }
}

#[test]
fn a_pulled_plug_ends_the_port_and_the_same_name_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = SimulatorSettings {
        pacing: Pacing::Immediate,
        ..SimulatorSettings::new(InstrumentFamily::QePro, folder.path().join("line"))
    };
    let simulator = Simulator::start(settings).expect("a terminal");
    let mut port = open(simulator.link(), 115_200);
    let serial = ask(&mut *port, SERIAL_NUMBER, Flags::NONE, &[]).data;
    ask(&mut *port, MessageType::ENABLE_LIGHT_SOURCE, Flags::ACK_REQUESTED, &[0, 0, 1]);

    simulator.hang_up();
    assert!(std::fs::symlink_metadata(simulator.link()).is_err(), "the name is gone");
    let end = port.read(&mut [0; 64]);
    assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() != std::io::ErrorKind::TimedOut));
    drop(port);

    simulator.come_back();
    let mut port = open(simulator.link(), 115_200);
    assert_eq!(ask(&mut *port, SERIAL_NUMBER, Flags::NONE, &[]).data, serial);
    // Pulling the data cable does not switch the laser off: that is the host's business when it returns.
    assert_eq!(simulator.laser(), Laser::On);
    ask(&mut *port, MessageType::ENABLE_LIGHT_SOURCE, Flags::ACK_REQUESTED, &[0, 0, 0]);
    assert!(simulator.wait_for_laser(Laser::Off, patience()));

    simulator.inject("hang-up=50".parse().expect("a fault"));
    let deadline = Instant::now() + patience();
    let mut again = loop {
        let link = simulator.link().to_str().expect("text");
        match serialport::new(link, 115_200).timeout(patience()).open() {
            Ok(port) => break port,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(ask(&mut *again, SERIAL_NUMBER, Flags::NONE, &[]).data, serial, "back by itself");
}

#[test]
fn the_name_is_a_link_of_ours_and_goes_when_the_simulator_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("port");
    std::fs::write(&link, "precious").expect("written");
    let refused =
        Simulator::start(SimulatorSettings::new(InstrumentFamily::QePro, &link)).expect_err("a file stands there");
    assert!(refused.to_string().contains("failed to open a pseudo-terminal"), "{refused}");
    assert_eq!(std::fs::read(&link).expect("still there"), b"precious");
    std::fs::remove_file(&link).expect("removable");
    // A link that an unclean end left behind is replaced.
    std::os::unix::fs::symlink("/dev/null", &link).expect("made");
    let simulator = Simulator::start(SimulatorSettings::new(InstrumentFamily::QePro, &link)).expect("a terminal");
    assert_ne!(std::fs::read_link(&link).expect("a link"), Path::new("/dev/null"));
    simulator.stop();
    assert!(std::fs::symlink_metadata(&link).is_err());
    let settings = SimulatorSettings { baud: 300, ..SimulatorSettings::new(InstrumentFamily::QePro, &link) };
    let refused = Simulator::start(settings).expect_err("no such speed").to_string();
    assert!(refused.contains("has no baud rate 300; it has: 9600"), "{refused}");
}

#[test]
fn a_replay_serves_recorded_rows_in_order_and_says_which() {
    /// Counts are whole numbers of about 119,000 that the file's range is spread over.
    const ROUNDING: f64 = 1e-4;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.csv");
    let shifts: Vec<f64> = (0..=800).map(|i| 200.0 + 2.0 * f64::from(i)).collect();
    let value = |row: f64, shift: f64| (row + 1.0) * (-((shift - 1000.0) / 200.0).powi(2)).exp() - 0.5;
    let header: Vec<String> = shifts.iter().map(f64::to_string).collect();
    let mut text = format!("id,{}\n", header.join(","));
    for (row, id) in ["first", "second"].iter().enumerate() {
        let values: Vec<String> = shifts.iter().map(|&shift| value(row as f64, shift).to_string()).collect();
        text += &format!("{id},{}\n", values.join(","));
    }
    std::fs::write(&file, text).expect("written");
    let recording = Arc::new(Recording::read(&file).expect("valid"));
    let source = StageSource::Replay { recording, repeat: 2, noise: ReplayNoise::Off };
    let settings = SimulatorSettings {
        source,
        pacing: Pacing::Immediate,
        ..SimulatorSettings::new(InstrumentFamily::QePro, folder.path().join("port"))
    };
    let simulator = Simulator::start(settings).expect("a terminal");
    let mut port = open(simulator.link(), 115_200);

    let dark = pixels(&mut *port);
    assert!(simulator.served().is_empty(), "a dark frame uses no row up");
    ask(&mut *port, MessageType::ENABLE_LIGHT_SOURCE, Flags::ACK_REQUESTED, &[0, 0, 1]);
    let coefficients: Vec<f64> = (0..4_u8)
        .map(|index| {
            let data = ask(&mut *port, MessageType::WAVELENGTH_COEFFICIENT, Flags::NONE, &[index]).data;
            f64::from(f32::from_le_bytes(data.try_into().expect("four bytes")))
        })
        .collect();
    let shift_at = |pixel: usize| {
        let nm = coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * pixel as f64 + coefficient);
        1e7 * (1.0 / 785.0 - 1.0 / nm)
    };
    let lit: Vec<Vec<f64>> = (0..4).map(|_| pixels(&mut *port)).collect();
    simulator.served_from(3, patience());
    let served: Vec<OnStage> = simulator.served().into_iter().map(|served| served.on_stage).collect();
    let row = |row: usize, id: &str| OnStage::Recorded { row, id: id.to_owned() };
    assert_eq!(served, [row(0, "first"), row(0, "first"), row(1, "second"), row(1, "second")]);

    // One scale and one offset for both rows bring the file's values back.
    let net = |frame: &[f64], pixel: usize| frame[pixel] - dark[pixel];
    let inside: Vec<usize> = (10..1034).filter(|&pixel| (210.0..1790.0).contains(&shift_at(pixel))).collect();
    let highest = inside.iter().map(|&pixel| net(&lit[2], pixel)).fold(0.0, f64::max);
    let scale = highest / 2.0;
    for (frame, row) in [(&lit[0], 0.0), (&lit[2], 1.0)] {
        for &pixel in &inside {
            let expected = value(row, shift_at(pixel)) + 0.5;
            assert!((net(frame, pixel) / scale - expected).abs() < 10.0 * ROUNDING, "pixel {pixel} of row {row}");
        }
    }
}
