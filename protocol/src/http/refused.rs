//! Why a message is refused.

use super::{limits, status::Status};

/// What is wrong with a message. After any of these the connection is of no use: what follows on it could be read in
/// two ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The first byte cannot begin a request.
    #[error("These bytes are not an HTTP request.")]
    NotHttp,
    /// LF without CR before it.
    #[error("A line ends with LF alone; lines of HTTP end with CR LF.")]
    BareLineFeed,
    /// CR without LF behind it.
    #[error("A CR stands inside of a line.")]
    BareCarriageReturn,
    /// A line that continues the one before it (obsolete folding).
    #[error("A field begins with white space: folded lines are obsolete and refused.")]
    FoldedLine,
    /// The first line is not `METHOD target HTTP/1.1`.
    #[error("The request line is not a method, a target and HTTP/1.1 with one space between them.")]
    RequestLine,
    /// The method is no token, or too long.
    #[error("The method is not a token of at most {} characters.", limits::MAX_METHOD)]
    Method,
    /// Another version of HTTP than 1.0 and 1.1.
    #[error("Only HTTP/1.1 and HTTP/1.0 are spoken here.")]
    Version,
    /// The first line of an answer is not `HTTP/1.1 200 OK`.
    #[error("The status line is not HTTP/1.1, a status from 100 to 599 and a phrase.")]
    StatusLine,
    /// The first line is too long.
    #[error("The first line is longer than {} bytes.", limits::MAX_FIRST_LINE)]
    TargetTooLong,
    /// The target has a character that it must not have, or none at all.
    #[error("The target of the request is not a valid one.")]
    Target,
    /// The form of the target does not fit the method.
    #[error("This form of target does not fit the method.")]
    TargetForm,
    /// The head is too large.
    #[error("The head of the message is larger than {} bytes.", limits::MAX_HEAD)]
    HeadTooLarge,
    /// Too many fields.
    #[error("The message has more than {} fields.", limits::MAX_FIELDS)]
    TooManyFields,
    /// The name of a field is not a token directly followed by a colon.
    #[error("The name of a field is not a token with a colon directly behind it.")]
    FieldName,
    /// The value of a field has a control character.
    #[error("The value of a field has a control character.")]
    FieldValue,
    /// HTTP/1.1 without `Host`.
    #[error("The request has no Host.")]
    HostMissing,
    /// More than one `Host`.
    #[error("The request has more than one Host.")]
    HostTwice,
    /// The `Host` is not a host and a port.
    #[error("The Host is not a valid one.")]
    Host,
    /// The `Host` and the target in absolute form differ.
    #[error("The Host is another than the one in the target.")]
    HostDiffers,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("The message has both Content-Length and Transfer-Encoding: its end could be found in two ways.")]
    LengthAndCoding,
    /// More than one `Content-Length`, or a list.
    #[error("The message has more than one Content-Length.")]
    LengthTwice,
    /// `Content-Length` is not a plain decimal number.
    #[error("The Content-Length is not a plain decimal number.")]
    Length,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("HTTP/1.0 has no Transfer-Encoding.")]
    CodingInOldVersion,
    /// `Transfer-Encoding` that is not exactly `chunked`.
    #[error("The Transfer-Encoding is not chunked, once.")]
    Coding,
    /// `Transfer-Encoding` with another coding below `chunked`.
    #[error("The only Transfer-Encoding that is known here is chunked.")]
    CodingUnknown,
    /// An answer that never has a body says that it has one.
    #[error("An answer with this status cannot have a body, yet one is announced.")]
    BodyForbidden,
    /// `Expect` with something else than `100-continue`.
    #[error("The only expectation that can be met is 100-continue.")]
    Expectation,
    /// The size of a chunk is not a hexadecimal number.
    #[error("The size of a chunk is not a hexadecimal number of at most {} digits.", limits::MAX_SIZE_DIGITS)]
    ChunkSize,
    /// The extensions of chunks are too long, or have control characters.
    #[error("The extensions of a chunk are too long, or have control characters.")]
    ChunkExtension,
    /// A line of chunked coding does not end with CR LF, or a chunk is longer than its size.
    #[error("A chunk does not end where its size says, with CR LF.")]
    ChunkEnd,
    /// The trailer is too large.
    #[error("The trailer is larger than {} bytes.", limits::MAX_TRAILER)]
    TrailerTooLarge,
    /// The message ended before its end.
    #[error("The connection ended in the middle of the message.")]
    Cut,
    /// The body is larger than what is taken here.
    #[error("The body is larger than the {limit} bytes that are taken here.")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The body of the message before has not been read.
    #[error("The body of the message before has not been read to its end.")]
    BodyUnread,
    /// Interim answers without an end.
    #[error("More than {} interim answers came before the final one.", limits::MAX_INTERIM)]
    TooManyInterim,
}

impl Refused {
    /// The status with which a *request* like this is answered. (Whatever is wrong with an answer of a server, a
    /// gateway's client is told 502.)
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::TargetTooLong => Status::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailerTooLarge => Status::HEAD_TOO_LARGE,
            Self::TooLarge { .. } => Status::CONTENT_TOO_LARGE,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::CodingUnknown => Status::NOT_IMPLEMENTED,
            Self::Version => Status::VERSION_NOT_SUPPORTED,
            Self::StatusLine | Self::BodyForbidden | Self::TooManyInterim => Status::BAD_GATEWAY,
            _ => Status::BAD_REQUEST,
        }
    }
}
