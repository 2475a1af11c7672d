//! Reads files of events back, apart from how they are written: checksums bit by bit, fields by their wire types.

/// One event: its step and its numbers, or its version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// When.
    pub wall_time: f64,
    /// The step.
    pub step: u64,
    /// The version, in the first record.
    pub version: Option<String>,
    /// The numbers.
    pub scalars: Vec<(String, f32)>,
}

/// All events, and how many bytes of an unfinished one stand behind them.
#[allow(clippy::missing_panics_doc, reason = "what is expected here always holds")]
pub fn events(mut bytes: &[u8]) -> (Vec<Event>, usize) {
    let mut found = Vec::new();
    while bytes.len() >= 12 {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(bytes[8..12], checksum(&bytes[..8]).to_le_bytes(), "the checksum of a length");
        if bytes.len() < length + 16 {
            break;
        }
        let body = &bytes[12..12 + length];
        assert_eq!(bytes[12 + length..16 + length], checksum(body).to_le_bytes(), "the checksum of a body");
        found.push(event(body));
        bytes = &bytes[16 + length..];
    }
    (found, bytes.len())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut rest = !0_u32;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |i| u32::from(byte >> i & 1))) {
        rest = if (rest ^ bit) & 1 == 1 { rest >> 1 ^ 0x82f6_3b78 } else { rest >> 1 };
    }
    let crc = !rest;
    let halves = u64::from(crc) << 32 | u64::from(crc);
    ((halves >> 15) as u32).wrapping_add(0xa282_ead8)
}

fn event(body: &[u8]) -> Event {
    let mut event = Event::default();
    for (field, value) in fields(body) {
        match field {
            1 => event.wall_time = f64::from_le_bytes(value.try_into().unwrap()),
            2 => event.step = number(&value),
            3 => event.version = Some(String::from_utf8(value).unwrap()),
            5 => event.scalars = fields(&value).iter().map(|(_, entry)| scalar(entry)).collect(),
            other => panic!("field {other}"),
        }
    }
    event
}

fn scalar(entry: &[u8]) -> (String, f32) {
    let fields = fields(entry);
    let tag = String::from_utf8(fields[0].1.clone()).unwrap();
    (tag, f32::from_le_bytes(fields[1].1.clone().try_into().unwrap()))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&take_varint(&mut bytes));
        let value = match key & 7 {
            0 => take_varint(&mut bytes),
            1 => take(&mut bytes, 8),
            2 => {
                let length = number(&take_varint(&mut bytes)) as usize;
                take(&mut bytes, length)
            }
            5 => take(&mut bytes, 4),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value));
    }
    found
}

fn take(bytes: &mut &[u8], count: usize) -> Vec<u8> {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken.to_vec()
}

fn take_varint(bytes: &mut &[u8]) -> Vec<u8> {
    let count = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    take(bytes, count)
}
