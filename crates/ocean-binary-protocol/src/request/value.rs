//! The plain values that travel as a message's data.

use super::error::ResponseError;
use crate::message_type::MessageType;
use crate::units::{Celsius, IntegrationTime};

/// A value that a request carries.
pub(crate) trait Encode {
    /// Appends it to the request's data.
    fn encode(&self, data: &mut Vec<u8>);
}

/// A value that an answer consists of.
pub(crate) trait Decode: Sized {
    /// From the whole data of the answer to `message_type`.
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError>;
}

fn whole<const N: usize>(message_type: MessageType, data: &[u8]) -> Result<[u8; N], ResponseError> {
    data.try_into().map_err(|_| ResponseError::Length { message_type, expected: N, found: data.len() })
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Encode for $integer {
            fn encode(&self, data: &mut Vec<u8>) {
                data.extend(self.to_le_bytes());
            }
        }

        impl Decode for $integer {
            fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
                whole(message_type, data).map(Self::from_le_bytes)
            }
        }
    )*};
}

integers!(u8, u16, u32);

/// u8: 1 or 0.
impl Encode for bool {
    fn encode(&self, data: &mut Vec<u8>) {
        data.push(u8::from(*self));
    }
}

/// u8: 0 is false, anything else true.
impl Decode for bool {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        u8::decode(message_type, data).map(|byte| byte != 0)
    }
}

/// IEEE 754 single, finite: no quantity a spectrometer knows is anything else.
impl Decode for f32 {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let number = whole(message_type, data).map(Self::from_le_bytes)?;
        if number.is_finite() { Ok(number) } else { Err(ResponseError::NotFinite { message_type }) }
    }
}

impl Encode for Celsius {
    fn encode(&self, data: &mut Vec<u8>) {
        data.extend(self.degrees().to_le_bytes());
    }
}

impl Decode for Celsius {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        f32::decode(message_type, data).map(Self::new)
    }
}

/// u32 in µs. Longer times than a u32 holds (71 minutes) are above every model's limit and go out as the largest.
impl Encode for IntegrationTime {
    fn encode(&self, data: &mut Vec<u8>) {
        u32::try_from(self.micros()).unwrap_or(u32::MAX).encode(data);
    }
}

impl Decode for IntegrationTime {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        u32::decode(message_type, data).map(|micros| Self::from_micros(micros.into()))
    }
}

/// Printable ASCII: cut at a NUL, and without the blanks around it, because devices pad.
impl Decode for String {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let text = data.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii();
        let printable = text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let text = String::from_utf8(text.to_vec()).ok().filter(|_| printable);
        text.ok_or(ResponseError::Text { message_type })
    }
}

/// f32 each, to the end of the data; what a sensor that is not there says (NaN) is `None`.
impl Decode for Vec<Option<Celsius>> {
    fn decode(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let (readings, rest) = data.as_chunks::<4>();
        if !rest.is_empty() {
            let expected = readings.len() * 4;
            return Err(ResponseError::Length { message_type, expected, found: data.len() });
        }
        let reading = |bytes: &[u8; 4]| Some(f32::from_le_bytes(*bytes)).filter(|degrees| degrees.is_finite());
        Ok(readings.iter().map(|bytes| reading(bytes).map(Celsius::new)).collect())
    }
}
