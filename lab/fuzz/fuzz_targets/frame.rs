//! Frames and messages of the lab protocol: a prefix that is read is written to the same bytes, and whatever a header or a
//! batch of rows says, it says the same when it is written anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{
    frame::{PREFIX_LEN, Prefix},
    join::{Challenge, JoinRequest, Register, Registered, Renewed},
    message::{
        Alive, ChunkHeader, End, Failure, FileRequest, Head, Identified, Identify, Identity, QueryRequest, RowsHeader,
        ServerStatus, push_row, read_rows,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fuzz_target!(|bytes: &[u8]| {
    if let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>()
        && let Ok(read) = Prefix::decode(prefix)
    {
        let _no_overflow = read.rest_len();
        assert_eq!(Prefix::decode(&read.encode()), Ok(read));
    }
    same::<FileRequest>(bytes);
    same::<QueryRequest>(bytes);
    same::<Head>(bytes);
    same::<ChunkHeader>(bytes);
    same::<RowsHeader>(bytes);
    same::<End>(bytes);
    same::<Failure>(bytes);
    same::<Identify>(bytes);
    same::<Identity>(bytes);
    same::<Identified>(bytes);
    same::<Alive>(bytes);
    same::<ServerStatus>(bytes);
    same::<JoinRequest>(bytes);
    same::<Challenge>(bytes);
    same::<Register>(bytes);
    same::<Registered>(bytes);
    same::<Renewed>(bytes);
    let Ok(rows) = read_rows(bytes).collect::<Result<Vec<_>, _>>() else { return };
    let mut batch = Vec::new();
    rows.iter().for_each(|row| push_row(&mut batch, row));
    let again: Vec<_> = read_rows(&batch).collect::<Result<_, _>>().expect("what we write we accept");
    assert_eq!(again, rows);
});

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("what we write we accept"), read);
}
