//! Kinds of messages that a stranger may send, each with what must become of it. Also used by tests of other crates, which
//! send them over real sockets: so nothing here knows of anything but bytes.

/// What must become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing is said.
    Nothing,
    /// An error of this code is said.
    Error(u16),
    /// It is a question: an answer, of whatever kind.
    Answer,
}

/// A message, what is odd about it, and what must become of it.
#[derive(Clone, Debug)]
pub struct Class {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub due: Due,
}

const FORMERR: Due = Due::Error(1);
const NOTIMP: Due = Due::Error(4);
const REFUSED: Due = Due::Error(5);
const BADVERS: Due = Due::Error(16);

/// Id, flags and counts, as eight digits of hexadecimal each.
fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let words = [[0x1a2b, flags].as_slice(), &counts].concat();
    words.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// A query with so many questions, answers, authorities and additional records, and what follows its header.
fn query(counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    [header(0x0100, counts), parts.concat()].concat()
}

/// A query about this name, which is as long as it is, of this type and class.
fn about(name: &[u8], record_type: u16, class: u16) -> Vec<u8> {
    query([1, 0, 0, 0], &[name, &record_type.to_be_bytes(), &class.to_be_bytes()])
}

/// A query for `a.b` with these flags.
fn flagged(flags: u16) -> Vec<u8> {
    [&header(flags, [1, 0, 0, 0]), QUESTION].concat()
}

/// So many labels of this length, and the end.
fn labels(count: usize, length: u8) -> Vec<u8> {
    let label = [&[length][..], &vec![b'x'; usize::from(length)]].concat();
    [label.repeat(count), vec![0]].concat()
}

/// An OPT record: size, version, and data that claim to be so long.
fn opt(size: u16, version: u8, claims: u16, data: &[u8]) -> Vec<u8> {
    [&[0, 0, 41][..], &size.to_be_bytes(), &[0, version, 0, 0], &claims.to_be_bytes(), data].concat()
}

/// A query for `a.b` with these additional records.
fn with(count: u16, records: &[&[u8]]) -> Vec<u8> {
    query([1, 0, 0, count], &[QUESTION, &records.concat()])
}

/// The same with a cookie of this length.
fn cookie(length: u16) -> Vec<u8> {
    let option = [&[0, 10][..], &length.to_be_bytes(), &vec![7; usize::from(length)]].concat();
    with(1, &[&opt(1_232, 0, length + 4, &option)])
}

const QUESTION: &[u8] = &[1, b'a', 1, b'b', 0, 0, 1, 0, 1];
const ADDRESS: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 1];
const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

/// All of them.
pub fn classes() -> Vec<Class> {
    let class = |name, due, bytes| Class { name, bytes, due };
    [beginnings(), names(), counts(), kinds(), extensions()]
        .into_iter()
        .flatten()
        .map(|(name, due, bytes)| class(name, due, bytes))
        .collect()
}

type Row = (&'static str, Due, Vec<u8>);

fn beginnings() -> Vec<Row> {
    let whole = flagged(0x0100);
    let cut = |length: usize| whole[..length].to_vec();
    vec![
        ("nothing", Due::Nothing, Vec::new()),
        ("one byte", Due::Nothing, cut(1)),
        ("a header without its last byte", Due::Nothing, cut(11)),
        ("a header that claims a question", FORMERR, cut(12)),
        ("a header and no question", FORMERR, query([0; 4], &[])),
        ("a question that ends in a label", FORMERR, cut(13)),
        ("a question that ends in its name", FORMERR, cut(16)),
        ("a question without its type", FORMERR, cut(17)),
        ("a question without half of its class", FORMERR, cut(20)),
        ("an answer", Due::Nothing, flagged(0x8180)),
        ("an answer that is nothing but a header", Due::Nothing, header(0x8100, [0; 4])),
        (
            "an answer of an unknown kind that cannot be read",
            Due::Nothing,
            [header(0xf900, [9; 4]), vec![0xff]].concat(),
        ),
        ("all bits", Due::Nothing, vec![0xff; 12]),
        ("all zeros, at length", FORMERR, vec![0; 60_000]),
        ("something behind the end", FORMERR, [&whole[..], &[0]].concat()),
        ("a second message behind the end", FORMERR, whole.repeat(2)),
        ("id zero", Due::Answer, [&[0, 0], &whole[2..]].concat()),
        ("the highest id", Due::Answer, [&[0xff, 0xff], &whole[2..]].concat()),
    ]
}

fn names() -> Vec<Row> {
    let pointing = |name: &[u8]| about(name, 1, 1);
    vec![
        ("a pointer to itself", FORMERR, pointing(&[0xc0, 12])),
        ("a pointer into itself", FORMERR, pointing(&[0xc0, 13])),
        ("a pointer forward", FORMERR, pointing(&[0xc0, 14])),
        ("a pointer into the header", FORMERR, pointing(&[0xc0, 0])),
        ("a pointer to the last byte of the header", FORMERR, pointing(&[0xc0, 11])),
        ("a pointer beyond the end", FORMERR, pointing(&[0xff, 0xff])),
        ("two pointers to each other", FORMERR, pointing(&[0xc0, 14, 0xc0, 12])),
        ("labels that lead back to their beginning", FORMERR, pointing(&[1, b'a', 0xc0, 12])),
        ("half a pointer", FORMERR, query([1, 0, 0, 0], &[&[0xc0]])),
        ("a label of the kind 01", FORMERR, pointing(&[0x41, b'a', 0])),
        ("a label of the kind 10", FORMERR, pointing(&[0x81, b'a', 0])),
        ("a label longer than the message", FORMERR, pointing(&[63, b'a', 0])),
        ("a name of 255 bytes", Due::Answer, pointing(&[&labels(3, 63)[..192], &labels(1, 61)].concat())),
        ("a name of 256 bytes", FORMERR, pointing(&[&labels(3, 63)[..192], &labels(1, 62)].concat())),
        ("127 labels", Due::Answer, pointing(&labels(127, 1))),
        ("128 labels", FORMERR, pointing(&labels(128, 1))),
        ("10,000 labels", FORMERR, pointing(&labels(10_000, 1))),
        ("the root", Due::Answer, pointing(&[0])),
        ("zeros, dots and high bytes in a label", Due::Answer, pointing(&[5, 0, b'.', 0xff, b'\\', b'"', 0])),
    ]
}

fn counts() -> Vec<Row> {
    let circle = &[&[0xc0, 21][..], &ADDRESS[2..]].concat();
    let long = &[&ADDRESS[..10], &[0xff, 0xff], &ADDRESS[12..]].concat();
    let key = &[&[1, b'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 16][..], &[0; 16]].concat();
    vec![
        ("two questions", FORMERR, query([2, 0, 0, 0], &[QUESTION, QUESTION])),
        ("65,535 questions, of which one is there", FORMERR, query([0xffff, 0, 0, 0], &[QUESTION])),
        ("65,535 answers, of which none is there", FORMERR, query([1, 0xffff, 0, 0], &[QUESTION])),
        ("65,535 of everything", FORMERR, query([0xffff; 4], &[QUESTION])),
        ("an answer in a query", FORMERR, query([1, 1, 0, 0], &[QUESTION, ADDRESS])),
        ("an authority in a query", FORMERR, query([1, 0, 1, 0], &[QUESTION, ADDRESS])),
        ("an additional record in a query", FORMERR, with(1, &[ADDRESS])),
        ("a signature (TSIG)", FORMERR, with(1, &[key])),
        ("a record longer than the message", FORMERR, with(1, &[long])),
        ("a record whose name points at itself", FORMERR, with(1, &[circle])),
        ("a record without its end", FORMERR, with(1, &[&ADDRESS[..9]])),
    ]
}

fn kinds() -> Vec<Row> {
    let of = |record_type, class| about(&QUESTION[..5], record_type, class);
    vec![
        ("type 0", Due::Answer, of(0, 1)),
        ("type OPT", Due::Answer, of(41, 1)),
        ("type ANY", Due::Answer, of(255, 1)),
        ("type 65,535", Due::Answer, of(0xffff, 1)),
        ("a whole zone (AXFR)", REFUSED, of(252, 1)),
        ("what is new in a zone (IXFR)", REFUSED, of(251, 1)),
        ("class 0", REFUSED, of(1, 0)),
        ("class CHAOS", REFUSED, of(16, 3)),
        ("class NONE", REFUSED, of(1, 254)),
        ("class ANY", REFUSED, of(1, 255)),
        ("opcode IQUERY", NOTIMP, flagged(0x0800)),
        ("opcode STATUS", NOTIMP, flagged(0x1000)),
        ("opcode NOTIFY", NOTIMP, flagged(0x2400)),
        ("opcode UPDATE", NOTIMP, flagged(0x2800)),
        ("opcode 15, which means nothing", NOTIMP, flagged(0x7800)),
        ("all flags but QR, and a code", Due::Answer, flagged(0x07ff)),
    ]
}

fn extensions() -> Vec<Row> {
    let cut = &opt(1_232, 0, 5, &[0, 10, 0, 8, 1]);
    vec![
        ("OPT twice", FORMERR, with(2, &[OPT, OPT])),
        ("OPT among the answers", FORMERR, query([1, 1, 0, 0], &[QUESTION, OPT])),
        ("OPT among the authorities", FORMERR, query([1, 0, 1, 0], &[QUESTION, OPT])),
        ("OPT with a name", FORMERR, with(1, &[&[1, b'a'], OPT])),
        ("OPT shorter than it claims", FORMERR, with(1, &[&opt(1_232, 0, 9, &[])])),
        ("an option shorter than it claims", FORMERR, with(1, &[cut])),
        ("EDNS of version 1", BADVERS, with(1, &[&opt(1_232, 1, 0, &[])])),
        ("EDNS of version 255", BADVERS, with(1, &[&opt(1_232, 255, 0, &[])])),
        ("datagrams of no bytes", Due::Answer, with(1, &[&opt(0, 0, 0, &[])])),
        ("datagrams of 65,535 bytes", Due::Answer, with(1, &[&opt(0xffff, 0, 0, &[])])),
        ("a cookie of no bytes", FORMERR, cookie(0)),
        ("a cookie of 7 bytes", FORMERR, cookie(7)),
        ("a cookie of 9 bytes", FORMERR, cookie(9)),
        ("a cookie of 15 bytes", FORMERR, cookie(15)),
        ("a cookie of 41 bytes", FORMERR, cookie(41)),
        ("a cookie of its own", Due::Answer, cookie(8)),
        ("a forged cookie of a server", Due::Answer, cookie(24)),
        ("a cookie of somebody else's server", Due::Answer, cookie(40)),
    ]
}
