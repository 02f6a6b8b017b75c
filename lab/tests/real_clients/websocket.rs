//! A WebSocket library on both ends: a tunnel after 101, in which frames, pings and the end pass as they are.

use crate::{
    front::Front,
    kit::{Process, World},
    programs::{command, find, run, server, skip, text},
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Says back every message.
const SERVER: &str = r#"
import asyncio, websockets

async def echo(socket):
    async for message in socket:
        await socket.send(message)

async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=4_000_000) as server:
        print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"#;

/// Texts and bytes both ways, several under way at once; pings; one frame of a megabyte; an end in order.
const CLIENT: &str = r#"
import asyncio, os, sys, websockets

async def main(compression):
    async with websockets.connect(sys.argv[1], compression=compression, max_size=4_000_000) as socket:
        for number in range(100):
            await socket.send("number %d" % number)
        for number in range(100):
            assert await socket.recv() == "number %d" % number
        for _ in range(3):
            await asyncio.wait_for(await socket.ping(), 20)
        large = os.urandom(1_000_000)
        await socket.send(large)
        assert await asyncio.wait_for(socket.recv(), 20) == large
        await socket.close(1000, "enough")
    print("ended with", socket.close_code, socket.close_reason)

asyncio.run(main(None))
asyncio.run(main("deflate"))
"#;

/// A Python that has the library.
fn python() -> Option<PathBuf> {
    let candidates = [Some(PathBuf::from("/usr/bin/python3")), find("python3")];
    let has_it = |python: &PathBuf| {
        let mut look = Command::new(python);
        look.args(["-c", "import websockets"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    candidates.into_iter().flatten().find(has_it)
}

#[test]
fn frames_pass_both_ways_and_the_end_is_in_order() {
    let Some(python) = python() else {
        skip("there is no Python with the library websockets");
        return;
    };
    let python = text(&python);
    let mut server = Process::start(server(python, &["-c", SERVER], "KILL"), "websockets");
    let line = server.wait_for("listening on ");
    let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
    let front = Front::http(World::new(), &[address]);
    let client = command(python, &["-c", CLIENT, &format!("ws://{}/chat", front.address)]);
    assert_eq!(run(client, "").done(), "ended with 1000 enough\nended with 1000 enough\n");
}
