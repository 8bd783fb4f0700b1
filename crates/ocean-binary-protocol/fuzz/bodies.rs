//! What the fuzz targets do with their bytes: shared by libFuzzer and by the ordinary test.

use ocean_binary_protocol::{Frame, Framer};

/// Any bytes decode or are refused; what decodes can be encoded again and means the same.
pub(crate) fn frame(bytes: &[u8]) {
    if let Ok(frame) = Frame::decode(bytes) {
        let encoded = frame.encode().expect("a decoded frame is within the limits");
        assert_eq!(Frame::decode(&encoded), Ok(frame));
    }
}

/// The first byte says how the rest is split; however it is, the same frames come out.
pub(crate) fn framer(bytes: &[u8]) {
    let Some((&portion, stream)) = bytes.split_first() else { return };
    let mut whole = Framer::new();
    let expected = whole.push(stream);
    let mut split = Framer::new();
    let frames: Vec<Frame> = stream.chunks(usize::from(portion).max(1)).flat_map(|now| split.push(now)).collect();
    assert_eq!(frames, expected);
    assert_eq!(split.statistics(), whole.statistics());
}
