//! A message, walked over once.

use super::{
    HEADER,
    edns::{Edns, Options},
    flags::{Flags, Rcode},
    name::Name,
    question::{Question, RecordType, record_type},
};
use std::ops::Range;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Less than a header.
    #[error("it is shorter than a header")]
    Short,
    /// The end is missing.
    #[error("it ends in the middle")]
    Cut,
    /// A pointer leads nowhere, forward, or into the header.
    #[error("a name points to where no earlier name can be")]
    Pointer,
    /// The two upper bits of a length mean nothing.
    #[error("a name has a label of an unknown kind")]
    Label,
    /// A name is longer than 255 bytes.
    #[error("a name is too long")]
    NameTooLong,
    /// More than one question: nobody has ever said what the answer to that would be (RFC 9619).
    #[error("it asks several questions")]
    Questions,
    /// Two OPT records, one in the wrong place, or one with a name or with options that are cut.
    #[error("its OPT record is not as it must be")]
    Opt,
    /// Something stands behind the last record.
    #[error("there is something behind its end")]
    Trailing,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The answer.
    Answer,
    /// Who knows more.
    Authority,
    /// What may be useful.
    Additional,
}

/// A record: where its parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its section.
    pub section: Section,
    /// Where its name begins.
    pub name_at: usize,
    /// Its type.
    pub record_type: RecordType,
    /// Its class.
    pub class: u16,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Where that stands.
    pub ttl_at: usize,
    /// Where its data are.
    pub data: Range<usize>,
}

/// A message that was found to be whole.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// The asker's name for this question.
    pub id: u16,
    /// What kind of message it is.
    pub flags: Flags,
    /// The question. There may be none.
    pub question: Option<Question>,
    /// All records but OPT.
    pub records: Vec<Record>,
    /// What the OPT record says.
    pub edns: Option<Edns<'a>>,
    /// Where it stands, and how many additional records stand before it.
    opt: Option<(usize, u16)>,
}

impl<'a> Message<'a> {
    /// Walks over a whole message.
    ///
    /// # Errors
    /// [`Malformed`]; it takes no more memory than the message has bytes (times a small number), whatever its counts say.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (id, flags) = Self::head(bytes).ok_or(Malformed::Short)?;
        let count = |n: usize| u16::from_be_bytes([bytes[4 + 2 * n], bytes[5 + 2 * n]]);
        let mut message = Self { bytes, id, flags, question: None, records: Vec::new(), edns: None, opt: None };
        let mut at = match count(0) {
            0 => HEADER,
            1 => message.read_question()?,
            _ => return Err(Malformed::Questions),
        };
        for (n, section) in [Section::Answer, Section::Authority, Section::Additional].into_iter().enumerate() {
            for _ in 0..count(n + 1) {
                at = message.read_record(section, at)?;
            }
        }
        if at == bytes.len() { Ok(message) } else { Err(Malformed::Trailing) }
    }

    /// Id and flags of what may be no message; `None` if it is too short for them and the counts.
    #[must_use]
    pub fn head(bytes: &[u8]) -> Option<(u16, Flags)> {
        let head = bytes.first_chunk::<HEADER>()?;
        Some((u16::from_be_bytes([head[0], head[1]]), Flags(u16::from_be_bytes([head[2], head[3]]))))
    }

    fn read_question(&mut self) -> Result<usize, Malformed> {
        let (name, end) = Name::read(self.bytes, HEADER)?;
        let record_type = RecordType(self.number(end)?);
        let class = self.number(end + 2)?;
        self.question = Some(Question { name, record_type, class });
        Ok(end + 4)
    }

    fn read_record(&mut self, section: Section, name_at: usize) -> Result<usize, Malformed> {
        let at = Name::skip(self.bytes, name_at)?;
        let (record_type, class) = (RecordType(self.number(at)?), self.number(at + 2)?);
        let ttl = u32::from(self.number(at + 4)?) << 16 | u32::from(self.number(at + 6)?);
        let begin = at + 10;
        let end = begin + usize::from(self.number(at + 8)?);
        let data = self.bytes.get(begin..end).ok_or(Malformed::Cut)?;
        if record_type == record_type::OPT {
            let alone = section == Section::Additional && self.edns.is_none() && at == name_at + 1;
            let options = Options::parse(data).filter(|_| alone).ok_or(Malformed::Opt)?;
            let [rcode, version, flags @ ..] = ttl.to_be_bytes();
            self.edns = Some(Edns { datagram: class, rcode, version, flags: u16::from_be_bytes(flags), options });
            let before = self.records.iter().filter(|record| record.section == Section::Additional).count();
            self.opt = Some((name_at, u16::try_from(before).unwrap_or(u16::MAX)));
        } else {
            let ttl_at = at + 4;
            self.records.push(Record { section, name_at, record_type, class, ttl, ttl_at, data: begin..end });
        }
        Ok(end)
    }

    fn number(&self, at: usize) -> Result<u16, Malformed> {
        let two = self.bytes.get(at..at + 2).ok_or(Malformed::Cut)?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    }

    /// Whether it answers this question, which was asked under this id.
    #[must_use]
    pub fn answers(&self, id: u16, question: &Question) -> bool {
        self.flags.is_response() && self.id == id && self.question.as_ref() == Some(question)
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The message up to its OPT record, which is about two neighbours and not for others. It is the last record of nearly
    /// every message; what stands behind it is left out, too, so that what remains stays where it was.
    #[must_use]
    pub fn without_opt(&self) -> Vec<u8> {
        let Some((at, before)) = self.opt else { return self.bytes.to_vec() };
        let mut bytes = self.bytes[..at].to_vec();
        bytes[10..12].copy_from_slice(&before.to_be_bytes());
        bytes
    }

    /// How it went.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        let upper = self.edns.map_or(0, |edns| u16::from(edns.rcode));
        Rcode(upper << 4 | self.flags.rcode())
    }

    /// The data of a record of this message.
    #[must_use]
    pub fn data(&self, record: &Record) -> &'a [u8] {
        &self.bytes[record.data.clone()]
    }

    /// The name of a record of this message.
    ///
    /// # Errors
    /// None, if the record is of this message.
    pub fn name(&self, record: &Record) -> Result<Name, Malformed> {
        Name::read(self.bytes, record.name_at).map(|(name, _)| name)
    }

    /// The largest datagram that whoever sent this can take, in bytes.
    #[must_use]
    pub fn datagram(&self) -> usize {
        let said = self.edns.map_or(0, |edns| usize::from(edns.datagram));
        said.clamp(super::LEAST_DATAGRAM, super::LARGEST_DATAGRAM)
    }
}
