//! What is asked, and what the answer must be.

use std::{fmt, str::FromStr};

/// Longest payload, in bytes: what an agent appends still fits into one packet of an Ethernet.
pub const LONGEST: usize = 1_400;

/// The bytes of a request, as they are typed: `1,2,3` or `[1,2,3]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Default for Payload {
    /// That of the original.
    fn default() -> Self {
        Self(vec![1, 2, 3])
    }
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let bytes: Result<Vec<u8>, _> = inner.split(',').map(|byte| byte.trim().parse()).collect();
        match bytes {
            Ok(bytes) if bytes.len() <= LONGEST => Ok(Self(bytes)),
            Ok(bytes) => Err(format!("A payload has at most {LONGEST} bytes; this one has {}.", bytes.len())),
            Err(_) => Err(format!("'{text}' is no payload: write bytes from 0 to 255, as in 1,2,3.")),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = if self.0.len() > SHOWN { format!(",… {} bytes", self.0.len()) } else { String::new() };
        write!(f, "[{}{more}]", shown.join(","))
    }
}

/// The requests of one client, one after the other, in the same memory.
#[derive(Clone, Debug)]
pub struct Question {
    bytes: Vec<u8>,
    /// Where the number of the request stands, if there is one, and what it is.
    number: Option<(usize, u64)>,
}

impl Question {
    /// The payload alone, or with the number of this client and that of the request behind it.
    #[must_use]
    pub fn new(payload: &Payload, client: u32, numbered: bool) -> Self {
        let mut bytes = payload.0.clone();
        let mut number = None;
        if numbered {
            bytes.extend(client.to_be_bytes());
            number = Some((bytes.len(), 0));
            bytes.extend(0_u64.to_be_bytes());
        }
        Self { bytes, number }
    }

    /// The next request.
    pub fn draw(&mut self) -> &[u8] {
        if let Some((at, number)) = &mut self.number {
            *number += 1;
            self.bytes[*at..].copy_from_slice(&number.to_be_bytes());
        }
        &self.bytes
    }

    /// Whether this is the answer to the last one: its bytes, the last first.
    #[must_use]
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        answer.len() == self.bytes.len() && answer.iter().rev().eq(&self.bytes)
    }

    /// Bytes that an answer may have at most, and one more, so that a longer one is seen to be longer.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.len() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_as_they_are_shown() {
        assert_eq!("1,2,3".parse(), Ok(Payload::default()));
        assert_eq!(Payload::default().to_string().parse(), Ok(Payload::default()));
        assert_eq!("[0, 255]".parse(), Ok(Payload(vec![0, 255])));
        let long = vec!["7"; LONGEST].join(",");
        assert_eq!(long.parse::<Payload>().unwrap().to_string(), "[7,7,7,7,7,7,7,7,7,7,7,7,… 1400 bytes]");
        for wrong in ["", "[]", "256", "1;2", "a", "1,", "[1,2", &(long + ",7")] {
            assert!(wrong.parse::<Payload>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_answer_is_the_request_turned_around_and_nothing_else() {
        let mut question = Question::new(&Payload::default(), 7, false);
        assert_eq!(question.draw(), [1, 2, 3]);
        assert_eq!(question.room(), 4);
        for (answer, right) in
            [(&[3, 2, 1][..], true), (&[1, 2, 3], false), (&[3, 2], false), (&[3, 2, 1, 0], false), (&[], false)]
        {
            assert_eq!(question.is_answered_by(answer), right, "{answer:?}");
        }
    }

    #[test]
    fn with_numbers_only_the_answer_to_this_very_request_counts() {
        let turned = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
        let (mut mine, mut other) =
            (Question::new(&Payload::default(), 1, true), Question::new(&Payload::default(), 2, true));
        let first = turned(mine.draw());
        assert!(mine.is_answered_by(&first));
        let foreign = turned(other.draw());
        assert!(!mine.is_answered_by(&foreign), "another client's");
        let second = turned(mine.draw());
        assert!(mine.is_answered_by(&second) && !mine.is_answered_by(&first), "that of the request before");
    }
}
