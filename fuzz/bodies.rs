//! What the fuzz targets do with their bytes: shared by libFuzzer and by the ordinary test.

use std::path::Path;

use ramand::acquire::capture::{self, Conversation};
use ramand::update::{Keyring, Package};
use ramand_core::archive;
use ramand_recording::{self as recording, Curve};

/// Any text is a spectrum of finite numbers or is refused.
pub(crate) fn jcamp(bytes: &[u8]) {
    if let Ok(curve) = recording::jcamp::read(&String::from_utf8_lossy(bytes)) {
        is_a_spectrum(&curve);
    }
}

/// Any bytes are spectra of finite numbers or are refused.
pub(crate) fn spc(bytes: &[u8]) {
    if let Ok(curves) = recording::spc::read(bytes) {
        assert!(!curves.is_empty());
        curves.iter().for_each(is_a_spectrum);
    }
}

/// Any text is refused or is a conversation that reads back as it was written; the driver survives whatever it says.
pub(crate) fn conversation(bytes: &[u8]) {
    let Ok(conversation) = Conversation::parse(&String::from_utf8_lossy(bytes)) else { return };
    let again = Conversation::parse(&conversation.encode()).expect("what was written can be read");
    let events = |conversation: &Conversation| -> Vec<(std::time::Duration, capture::CaptureEvent)> {
        conversation.moments.iter().map(|moment| (moment.at, moment.event.clone())).collect()
    };
    assert_eq!(events(&again), events(&conversation));
    let mut spectra = 0;
    let _ = capture::replay(&conversation, |outcome| spectra += usize::from(outcome.is_ok()));
    assert!(spectra <= conversation.moments.len());
}

/// Any bytes are refused or are files with plain names; those are written and read back the same.
pub(crate) fn archive(bytes: &[u8]) {
    read_archive(bytes);
    // The first header's checksum, mended: what hides behind it is read as well.
    let mut mended = bytes.to_vec();
    if let Some(header) = mended.get_mut(..512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        read_archive(&mended);
    }
}

fn read_archive(bytes: &[u8]) {
    let Ok(files) = archive::read(bytes) else { return };
    assert!(files.len() <= archive::ENTRIES_MAX);
    for name in files.keys() {
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']), "{name:?}");
    }
    if let Ok(written) = archive::write(&files) {
        assert_eq!(archive::read(written.as_slice()).expect("what was written can be read"), files);
    }
    // Signed by a key that nobody trusts, whatever it holds.
    let nobody = Keyring::read(Path::new("/nonexistent")).expect("no folder, no keys");
    assert!(Package::read(bytes, &nobody).is_err());
}

fn is_a_spectrum(curve: &Curve) {
    assert!(curve.abscissae.len() >= 2 && curve.abscissae.len() == curve.ordinates.len());
    assert!(curve.abscissae.iter().all(|x| x.is_finite()) && curve.ordinates.iter().all(|y| y.is_finite()));
}
