//! Protobuf messages, <https://protobuf.dev/programming-guides/encoding/>: as much as is written here, and read again.

/// A message to which fields are added, each by its number.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// An integer of any type whose values are not negative, or an enumeration.
    #[must_use]
    pub fn uint(self, field: u32, value: u64) -> Self {
        self.key(field, 0).varint(value)
    }

    #[must_use]
    pub fn double(self, field: u32, value: f64) -> Self {
        self.key(field, 1).raw(&value.to_le_bytes())
    }

    #[must_use]
    pub fn float(self, field: u32, value: f32) -> Self {
        self.key(field, 5).raw(&value.to_le_bytes())
    }

    /// Bytes or a string.
    #[must_use]
    pub fn bytes(self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2).varint(value.len() as u64).raw(value)
    }

    #[must_use]
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A packed list.
    #[must_use]
    pub fn doubles(self, field: u32, values: &[f64]) -> Self {
        self.bytes(field, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A field's number and how its value is written.
    fn key(self, field: u32, wire: u64) -> Self {
        self.varint(u64::from(field) << 3 | wire)
    }

    /// Seven bits a byte, the lowest first; all bytes but the last have the eighth set.
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// The fields of a message that is read, each with its number, up to where it ends or is none.
#[derive(Debug)]
pub(super) struct Fields<'m>(&'m [u8]);

/// The value of a field that is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'m> {
    Uint(u64),
    Bytes(&'m [u8]),
    /// Of four or eight bytes.
    Fixed(&'m [u8]),
}

impl<'m> Fields<'m> {
    /// Those of a message.
    pub fn of(message: &'m [u8]) -> Self {
        Self(message)
    }

    /// Whether all of the message was read: none of it was damaged.
    #[cfg(feature = "onnx")]
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&mut self, len: u64) -> Option<&'m [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = (u64, Field<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Uint(self.varint()?),
            1 => Field::Fixed(self.bytes(8)?),
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.bytes(len)?)
            }
            5 => Field::Fixed(self.bytes(4)?),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let message = Message::default().uint(16, u64::MAX).float(2, 1.5).bytes(3, b"ab").double(1, -2.0).into_bytes();
        let read: Vec<_> = Fields::of(&message).collect();
        let [float, double] = [&1.5f32.to_le_bytes()[..], &(-2f64).to_le_bytes()];
        let (float, double) = (Field::Fixed(float), Field::Fixed(double));
        assert_eq!(read, [(16, Field::Uint(u64::MAX)), (2, float), (3, Field::Bytes(b"ab")), (1, double)]);
        for cut in
            [&b"\x08"[..], b"\x08\x80", b"\x12\x05abc", b"\x0d\0\0\0", b"\x0b\0", &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert_eq!(Fields::of(cut).next(), None, "{cut:?}");
        }
    }

    /// The first three are the encoding's own examples.
    #[test]
    fn fields_are_encoded_as_the_specification_shows() {
        let inner = Message::default().uint(1, 150);
        assert_eq!(inner.0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").0, b"\x12\x07testing");
        assert_eq!(Message::default().message(3, &inner).0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let largest = [vec![0xff; 9], vec![0x01]].concat();
        assert_eq!(Message::default().uint(16, u64::MAX).0, [vec![0x80, 0x01], largest].concat());
        assert_eq!(Message::default().float(2, 1.5).0, [0x15, 0, 0, 0xc0, 0x3f]);
        assert_eq!(Message::default().double(1, -2.0).0, [0x09, 0, 0, 0, 0, 0, 0, 0, 0xc0]);
        let packed = [&[0x3a, 16][..], &1.0f64.to_le_bytes(), &0.1f64.to_le_bytes()].concat();
        assert_eq!(Message::default().doubles(7, &[1.0, 0.1]).0, packed);
    }
}
