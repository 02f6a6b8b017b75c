//! `GET /files/NAME`: a file, or a part of it, unless the client has it already.
//!
//! The lookup is that of the lab protocol ([`files`](crate::files)): one directory, whatever the name says. The path is cut
//! at its slashes *before* its escapes are resolved, so `%2e%2e%2f` is a strange name and no way out.
//!
//! **What was promised is kept, or seen to be broken.** `Content-Length` is said before the first byte. A file that is
//! changed while it is sent must not end like one that was not: its last block is held back until the file has been
//! compared with what it was. If it was changed, the connection is cut, and the client sees that bytes are missing.
//! (HTTP has no other way to take an answer back.)
//!
//! Memory: one block. Production servers use `sendfile` and never see the bytes.

use super::{
    Site, admission, failed,
    failed::Unanswered,
    media,
    range::{Part, part},
    validators::{Validators, Verdict},
};
use crate::{files::OpenFile, slots::Slot};
use protocol::{
    http::{BodyReader, BodyWriter, Headers, InvalidField, Method, Request, Response, Status, http_date},
    message::ErrorCode,
    output::{Plain, say},
};
use std::{
    io::{self, Write},
    ops::Range,
    time::SystemTime,
};

/// How much of a file is read and sent at once, in bytes: the unit of the least rate.
const BLOCK: usize = 256 * 1024;

/// Answers a request for the file with these segments.
pub(super) fn answer(
    site: &Site,
    segments: &[&str],
    request: &Request,
    body: &BodyReader<'_>,
) -> Result<Response, Unanswered> {
    // An escaped slash: no file has one in its name.
    if segments.iter().any(|segment| segment.contains('/')) {
        return Err(failed::nothing_there().into());
    }
    let name = segments.join("/");
    let place = admission::admit(&site.terms, &format!("file {name}"), body)?;
    let file = site.room.open(&name)?;
    let validators = Validators::of(file.metadata(), SystemTime::now());
    let response = match validators.weigh(&request.headers) {
        Verdict::NotModified => Response::new(Status::NOT_MODIFIED),
        Verdict::Failed => {
            let words = "The file is not in the state that the request demands.";
            failed::refuse(Status::PRECONDITION_FAILED, ErrorCode::BadRequest, words)
        }
        Verdict::Go => {
            let wants_part = request.method == Method::Get && validators.allow_part(&request.headers);
            let part = if wants_part { part(&request.headers, file.size()) } else { Part::Whole };
            // Of a HEAD nothing is sent that the place could end with.
            let place = Some(place).filter(|_| request.method == Method::Get);
            content(file, name, part, place)?
        }
    };
    Ok(described(response, &validators)?)
}

/// The fields that every answer about a file has.
fn described(mut response: Response, validators: &Validators) -> Result<Response, InvalidField> {
    let headers: &mut Headers = response.headers_mut();
    if let Some(tag) = &validators.tag {
        headers.push("ETag", tag)?;
    }
    if let Some(modified) = validators.modified {
        headers.push("Last-Modified", http_date(modified))?;
    }
    headers.push("Accept-Ranges", "bytes")?;
    // It may be replaced at any time: ask again, with the tag.
    headers.push("Cache-Control", "no-cache")?;
    Ok(response)
}

fn content(mut file: OpenFile, name: String, part: Part, place: Option<Slot>) -> Result<Response, Unanswered> {
    let (size, media) = (file.size(), media::type_of(&name));
    let (status, bytes, shown) = match part {
        Part::Whole => (Status::OK, 0..size, None),
        Part::Bytes(bytes) => {
            let shown = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
            (Status::PARTIAL_CONTENT, bytes, Some(shown))
        }
        Part::None => {
            let words = format!("The file has {size} bytes, and none where the part begins.");
            let refusal = failed::refuse(Status::RANGE_NOT_SATISFIABLE, ErrorCode::BadRequest, &words);
            return Ok(refusal.header("Content-Range", format!("bytes */{size}"))?);
        }
    };
    file.go_to(bytes.start)?;
    let length = bytes.end - bytes.start;
    let send = move |out: &mut BodyWriter<'_>| {
        send(&mut file, bytes, place, out).inspect_err(|error| say!("{} was not sent: {error}", Plain(&name)))?;
        say!("File {} sent successfully", Plain(&name));
        Ok(())
    };
    let response = Response::stream(status, media, Some(length), send)?.header("X-Content-Type-Options", "nosniff")?;
    Ok(match shown {
        Some(shown) => response.header("Content-Range", shown)?,
        None => response,
    })
}

/// Sends these bytes of the file, which stands at the first of them. The place is given back before the last of them leave:
/// whoever receives those may ask again at once, and must find the place free.
fn send(file: &mut OpenFile, bytes: Range<u64>, mut place: Option<Slot>, out: &mut BodyWriter<'_>) -> io::Result<()> {
    let mut left = bytes.end - bytes.start;
    let mut block = vec![0; usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK))];
    while left > 0 {
        let length = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        file.read_exact(&mut block[..length]).map_err(io::Error::other)?;
        left -= length as u64;
        if left == 0 {
            file.unchanged().map_err(io::Error::other)?;
            place = None;
        }
        out.write_all(&block[..length])?;
    }
    drop(place);
    Ok(())
}
