//! What servers of a ring say to each other: what is understood is the same when it is written anew, and is short.
#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{MAX_MESSAGE, Message};

/// A room of the server's that nobody else may enter.
#[allow(dead_code, reason = "only the message is looked at")]
#[path = "../../../server/src/ring/message.rs"]
mod message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(message) = text.parse::<Message>() else { return };
    let written = message.to_string();
    assert!(written.len() <= MAX_MESSAGE, "{written}");
    assert_eq!(written.parse(), Ok(message), "{text}");
});
