//! Writing questions and answers.

use super::{
    HEADER, LARGEST_DATAGRAM,
    edns::{Edns, Options},
    flags::{Flags, Rcode},
    message::{Message, Section},
    name::Name,
    question::{Question, RecordType, class},
};

/// A question, ready to be sent. With EDNS unless it is not wanted.
#[must_use]
pub fn query(id: u16, question: &Question, edns: Option<Edns<'_>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&Flags::QUERY.0.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())]);
    question.write(&mut bytes);
    if let Some(edns) = edns {
        edns.write(&mut bytes);
    }
    bytes
}

/// An answer in the making.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    question: Option<&'a Question>,
    flags: Flags,
    rcode: Rcode,
    bytes: Vec<u8>,
    question_end: usize,
    /// How many records each section has.
    counts: [u16; 3],
    /// Whether the asker speaks EDNS, and so hears it.
    edns: bool,
    /// The options of our OPT record.
    options: Vec<u8>,
}

impl<'a> Reply<'a> {
    /// The answer to this query, without records.
    #[must_use]
    pub fn to(query: &'a Message<'_>) -> Self {
        Self::begin(query.id, query.flags, query.question.as_ref(), query.edns.is_some())
    }

    /// The answer to a question that came with these, without records.
    #[must_use]
    pub fn to_question(id: u16, flags: Flags, question: &'a Question, edns: bool) -> Self {
        Self::begin(id, flags, Some(question), edns)
    }

    fn begin(id: u16, flags: Flags, question: Option<&'a Question>, edns: bool) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.resize(HEADER, 0);
        question.iter().for_each(|question| question.write(&mut bytes));
        let question_end = bytes.len();
        let (flags, rcode) = (flags.answered(), Rcode::NO_ERROR);
        Self { question, flags, rcode, bytes, question_end, counts: [0; 3], edns, options: Vec::new() }
    }

    /// The answer to a query that cannot be read, as far as it can be: its header.
    #[must_use]
    pub fn to_unreadable(id: u16, flags: Flags, rcode: Rcode) -> Vec<u8> {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&flags.answered().with(rcode).0.to_be_bytes());
        bytes.resize(HEADER, 0);
        bytes
    }

    /// How it went.
    #[must_use]
    pub fn rcode(mut self, rcode: Rcode) -> Self {
        self.rcode = rcode;
        self
    }

    /// These flags changed so.
    #[must_use]
    pub fn flags(mut self, change: impl FnOnce(Flags) -> Flags) -> Self {
        self.flags = change(self.flags);
        self
    }

    /// An option of our OPT record.
    #[must_use]
    pub fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.extend_from_slice(&code.to_be_bytes());
        self.options.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        self.options.extend_from_slice(data);
        self
    }

    /// One more record of the answer. `name` is written as it is given: the case of the question may be another one.
    pub fn answer(&mut self, name: &Name, record_type: RecordType, ttl: u32, data: &[u8]) {
        self.record(Section::Answer, name, record_type, ttl, data);
    }

    /// One more record of this section, if the message is no longer than this many bytes with it. Says whether it is in it.
    pub fn record_if_it_fits(
        &mut self,
        limit: usize,
        section: Section,
        name: &Name,
        (record_type, ttl, data): (RecordType, u32, &[u8]),
    ) -> bool {
        let before = (self.bytes.len(), self.counts);
        self.record(section, name, record_type, ttl, data);
        let fits = self.bytes.len() + self.opt().len() <= limit;
        if !fits {
            self.bytes.truncate(before.0);
            self.counts = before.1;
        }
        fits
    }

    /// One more record of this section. Sections must be filled in their order: what is written stays where it is.
    pub fn record(&mut self, section: Section, name: &Name, record_type: RecordType, ttl: u32, data: &[u8]) {
        let name = self.compressed(name);
        self.bytes.extend_from_slice(&name);
        self.bytes.extend_from_slice(&record_type.0.to_be_bytes());
        self.bytes.extend_from_slice(&class::IN.to_be_bytes());
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.counts[section as usize] += 1;
    }

    /// A name as it can be written behind the question: what of its end stands there, spelled alike, is a pointer. Not for what
    /// is in records of types younger than RFC 1035 (RFC 3597 §4).
    #[must_use]
    pub fn compressed(&self, name: &Name) -> Vec<u8> {
        let asked = self.question.map_or(&[][..], |question| question.name.wire());
        let mut at = 0;
        while let Some(length) = name.wire().get(at).filter(|length| **length > 0) {
            let rest = &name.wire()[at..];
            // The same bytes at the end may begin within a label; then the labels there are others.
            let begins = |from: usize| ends_of_labels(asked).any(|begin| begin == from);
            let from = asked.len().checked_sub(rest.len()).filter(|from| asked[*from..] == *rest && begins(*from));
            if let Some(from) = from {
                let pointer = 0xc000 | (HEADER + from) as u16;
                return [&name.wire()[..at], &pointer.to_be_bytes()].concat();
            }
            at += 1 + usize::from(*length);
        }
        name.wire().to_vec()
    }

    /// Whether it has no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }

    /// The message, no longer than this many bytes: what does not fit is left out as a whole, and it says so (TC).
    #[must_use]
    pub fn finish(mut self, limit: usize) -> Vec<u8> {
        let opt = self.opt();
        let mut flags = self.flags.with(self.rcode);
        if self.bytes.len() + opt.len() > limit {
            self.bytes.truncate(self.question_end);
            self.counts = [0; 3];
            flags = flags.truncated();
        }
        self.bytes[2..4].copy_from_slice(&flags.0.to_be_bytes());
        self.bytes[5] = u8::from(self.question.is_some());
        self.counts[Section::Additional as usize] += u16::from(self.edns);
        for (at, count) in [6, 8, 10].into_iter().zip(self.counts) {
            self.bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.bytes.extend_from_slice(&opt);
        self.bytes
    }

    /// Our OPT record; empty if the asker does not speak EDNS.
    #[must_use]
    pub(super) fn opt(&self) -> Vec<u8> {
        let mut opt = Vec::new();
        if self.edns {
            let rcode = (self.rcode.0 >> 4) as u8;
            let options = Options::parse(&self.options).unwrap_or_default();
            Edns { datagram: LARGEST_DATAGRAM as u16, rcode, version: 0, flags: 0, options }.write(&mut opt);
        }
        opt
    }
}

/// Where the labels of a name begin, and its end.
fn ends_of_labels(wire: &[u8]) -> impl Iterator<Item = usize> {
    let next = |at: &usize| wire.get(*at).filter(|length| **length > 0).map(|length| at + 1 + usize::from(*length));
    std::iter::successors(Some(0), move |at| next(at))
}
