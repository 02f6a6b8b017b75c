//! Packets: three bytes of length, one that counts, and the body.
//!
//! A body of 16 MiB less one byte would go on in the next packet. None of ours is so long, and one that comes is refused.
//!
//! Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mysql_common::{io::ParseBuf, proto::MyDeserialize};
use std::io;

/// Bytes before the body.
const HEAD: usize = 4;

/// The length that says that more of the same body follows.
const MORE: usize = 0xff_ff_ff;

/// A packet that has come.
pub(super) struct Packet {
    /// Its place in the exchange; an answer has the next one.
    pub(super) number: u8,
    pub(super) body: Bytes,
}

/// A body is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Adds a packet.
pub(super) fn push(out: &mut BytesMut, number: u8, body: &[&[u8]]) -> Result<(), TooLong> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let head = u32::try_from(length).ok().filter(|_| length < MORE).ok_or(TooLong)?;
    out.put_u32_le(head | u32::from(number) << 24);
    body.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}

/// Takes the first packet, if all of it is there.
pub(super) fn take(inbox: &mut BytesMut) -> Result<Option<Packet>, TooLong> {
    let Some(head) = inbox.get(..HEAD).and_then(|head| <[u8; HEAD]>::try_from(head).ok()) else { return Ok(None) };
    let [low, middle, high, number] = head;
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if length == MORE {
        return Err(TooLong);
    }
    if inbox.len() < HEAD + length {
        return Ok(None);
    }
    inbox.advance(HEAD);
    Ok(Some(Packet { number, body: inbox.split_to(length).freeze() }))
}

/// Reads something that the library knows.
pub(super) fn read<'a, T: MyDeserialize<'a>>(body: &'a [u8], context: T::Ctx) -> io::Result<T> {
    ParseBuf(body).parse(context)
}

/// Reads an integer of one to nine bytes, and says what comes behind it. `None`: it is none, or cut off.
pub(super) fn integer(body: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = body.split_first()?;
    let length = match first {
        0..=0xfa => return Some((u64::from(*first), rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(length)?;
    Some((digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit)), rest))
}

/// Reads a value of a row, and says what comes behind it: text, or `None` for NULL.
pub(super) fn field(row: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if let [0xfb, rest @ ..] = row {
        return Some((None, rest));
    }
    let (length, rest) = integer(row)?;
    let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Some(field), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_whole_however_it_was_cut() {
        let mut sent = BytesMut::new();
        push(&mut sent, 7, &[b"\x03", b"SELECT 1"]).unwrap();
        assert_eq!(&sent[..5], b"\x09\0\0\x07\x03");
        for end in 0..sent.len() {
            let mut inbox = BytesMut::from(&sent[..end]);
            assert!(take(&mut inbox).unwrap().is_none() && inbox.len() == end, "{end}");
        }
        let packet = take(&mut sent).unwrap().unwrap();
        assert!(packet.number == 7 && &*packet.body == b"\x03SELECT 1" && sent.is_empty());
        assert!(take(&mut BytesMut::from(&b"\xff\xff\xff\0"[..])).is_err());
        assert_eq!(push(&mut sent, 0, &[&vec![0; MORE]]), Err(TooLong));
    }

    #[test]
    fn numbers_and_fields_whose_length_lies_are_nothing() {
        assert_eq!(integer(b"\xfa!"), Some((250, &b"!"[..])));
        assert_eq!(integer(b"\xfc\x01\x02!"), Some((513, &b"!"[..])));
        assert_eq!(integer(b"\xfe\x01\0\0\0\0\0\0\x80"), Some((1 << 63 | 1, &b""[..])));
        assert_eq!(field(b"\x02abc"), Some((Some(&b"ab"[..]), &b"c"[..])));
        assert_eq!(field(b"\xfbc"), Some((None, &b"c"[..])));
        for cut in [&b""[..], b"\xfc\x01", b"\xff", b"\x03ab", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(field(cut), None, "{cut:?}");
        }
    }
}
