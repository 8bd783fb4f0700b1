//! The plain values that travel as a message's data.

use super::ResponseError;
use crate::MessageType;
use crate::units::{Celsius, IntegrationTime};

/// A value with one form on the wire.
pub trait Value: Sized {
    /// From the whole data of an answer.
    ///
    /// # Errors
    /// When the data does not have the value's length or form.
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError>;

    /// Appended to the data of a request.
    fn write(&self, data: &mut Vec<u8>);
}

fn whole<const N: usize>(message_type: MessageType, data: &[u8]) -> Result<[u8; N], ResponseError> {
    data.try_into().map_err(|_| ResponseError::Length { message_type, expected: N, found: data.len() })
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Value for $integer {
            fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
                whole(message_type, data).map(Self::from_le_bytes)
            }

            fn write(&self, data: &mut Vec<u8>) {
                data.extend(self.to_le_bytes());
            }
        }
    )*};
}

integers!(u8, u16, u32);

/// u8: 0 is false, anything else true.
impl Value for bool {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        u8::read(message_type, data).map(|byte| byte != 0)
    }

    fn write(&self, data: &mut Vec<u8>) {
        data.push(u8::from(*self));
    }
}

/// IEEE 754 single, finite: no quantity a spectrometer knows is anything else.
impl Value for f32 {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let number = whole(message_type, data).map(Self::from_le_bytes)?;
        if number.is_finite() { Ok(number) } else { Err(ResponseError::NotFinite { message_type }) }
    }

    fn write(&self, data: &mut Vec<u8>) {
        data.extend(self.to_le_bytes());
    }
}

impl Value for Celsius {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        f32::read(message_type, data).map(Self::new)
    }

    fn write(&self, data: &mut Vec<u8>) {
        self.degrees().write(data);
    }
}

/// u32 in us. Longer times than a u32 holds (71 minutes) are above every model's limit and go out as the largest.
impl Value for IntegrationTime {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        u32::read(message_type, data).map(|micros| Self::from_micros(micros.into()))
    }

    fn write(&self, data: &mut Vec<u8>) {
        u32::try_from(self.micros()).unwrap_or(u32::MAX).write(data);
    }
}

/// Printable ASCII: cut at a NUL, and without the blanks around it, because devices pad.
impl Value for String {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let text = data.split(|&byte| byte == 0).next().unwrap_or_default().trim_ascii();
        let printable = text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let text = String::from_utf8(text.to_vec()).ok().filter(|_| printable);
        text.ok_or(ResponseError::Text { message_type })
    }

    fn write(&self, data: &mut Vec<u8>) {
        data.extend(self.as_bytes());
    }
}

/// f32 each, to the end of the data; what a sensor that is not there says (NaN) is `None`.
impl Value for Vec<Option<Celsius>> {
    fn read(message_type: MessageType, data: &[u8]) -> Result<Self, ResponseError> {
        let (readings, rest) = data.as_chunks::<4>();
        if !rest.is_empty() {
            let expected = readings.len() * 4;
            return Err(ResponseError::Length { message_type, expected, found: data.len() });
        }
        let reading = |bytes: &[u8; 4]| Some(f32::from_le_bytes(*bytes)).filter(|degrees| degrees.is_finite());
        Ok(readings.iter().map(|bytes| reading(bytes).map(Celsius::new)).collect())
    }

    fn write(&self, data: &mut Vec<u8>) {
        for reading in self {
            reading.map_or(f32::NAN, Celsius::degrees).write(data);
        }
    }
}
