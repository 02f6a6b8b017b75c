//! The walkthrough of the coursework, in one terminal per program, with the words each program says.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::World;

/// Three servers, the load balancer, a client: SQL. What everybody prints is what the class reads along.
#[test]
fn sql_in_separate_terminals() {
    let world = World::new();
    let mut servers = [("1", "0.1"), ("2", "0.2"), ("3", "0.3")].map(|(id, time)| {
        let mut server = world.spawn(&["server", id, "0", time, "--files", "files"]);
        server.wait_for("Connected to database successfully");
        server.wait_for(&format!("Server {id} is starting..."));
        server.wait_for("Server is listening on (127.0.0.1, ");
        server
    });
    let (mut balancer, address) = world.balancer(&[]);
    for id in ["1", "2", "3"] {
        balancer.must_say(&format!("Connected to server {id}"));
    }
    let output = world.client(address, &["--format", "blocks"], "SELECT * FROM COLORS LIMIT 3;\n");
    assert!(output.status.success(), "{}", kit::text(&output.stderr));
    let said = kit::text(&output.stdout);
    let blocks = "Name: White\nHEX: #FFFFFF\nRGB: rgb(100,100,100)\n\n\
                  Name: Silver\nHEX: #C0C0C0\nRGB: rgb(75,75,75)\n\n\
                  Name: Gray\nHEX: #808080\nRGB: rgb(50,50,50)\n";
    assert!(said.contains(blocks), "{said}");
    assert!(said.starts_with("Sending request from client 2\n"), "{said}");
    let seconds: f64 = said.rsplit_once("Time taken: ").unwrap().1.trim().parse().unwrap();
    assert!((0.1..5.0).contains(&seconds), "{seconds}");

    balancer.wait_for("Connected with (127.0.0.1, ");
    for line in
        ["SELECT * FROM COLORS LIMIT 3", "Chosen server: 1", "Got response from server!", "Sent response to client!"]
    {
        balancer.wait_for(line);
    }
    for line in
        ["Connected with (", "SELECT * FROM COLORS LIMIT 3", "Received request. Processing...", "Response sent!"]
    {
        servers[0].wait_for(line);
    }
}

/// The same for a file, and for one that is not there.
#[test]
fn a_file_in_separate_terminals() {
    let world = World::new();
    let mut server = world.server("1", "0.1");
    let (mut balancer, address) = world.balancer(&[]);
    balancer.wait_for("Connected to server 1");
    let output = world.client(address, &["FILE colors.csv"], "");
    assert!(output.status.success(), "{}", kit::text(&output.stderr));
    let said = kit::text(&output.stdout);
    let mut rest = &said[..];
    for line in [
        "Sending request from client 2",
        "Preparing to receive the file: colors.csv",
        "File colors.csv received successfully!",
        "Time taken: ",
    ] {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("no {line:?} in its place in\n{said}")).1;
    }
    let [sent, arrived] =
        ["files/colors.csv", "received/colors.csv"].map(|name| std::fs::read(world.path(name)).unwrap());
    assert!(sent == arrived);
    for line in [
        "file colors.csv",
        "Chosen server: 1",
        "Got response from server!",
        "Sent requested file from server 1!",
        "Sent response to client!",
    ] {
        balancer.wait_for(line);
    }
    for line in [
        "file colors.csv",
        "Received request. Processing...",
        "Starting to send file",
        "File colors.csv sent successfully",
    ] {
        server.wait_for(line);
    }
    let output = world.client(address, &["file nothing.csv"], "");
    assert_eq!(output.status.code(), Some(1));
    let all = kit::text(&output.stdout) + &kit::text(&output.stderr);
    assert!(all.contains("File nothing.csv not found in server!"), "{all}");
    let output = world.client(address, &[], "SELECT * FROM COLORS WHERE Name = 'none'\n");
    assert!(kit::text(&output.stdout).contains("No output"), "{}", kit::text(&output.stdout));
}

/// The programs find the laboratory's files from a folder below it, as the transcripts do from `client/`.
#[test]
fn the_programs_work_from_a_folder_below() {
    let world = World::new();
    std::fs::create_dir(world.path("client")).unwrap();
    let start = |args: &[&str]| {
        let mut command = world.command(args);
        command.current_dir(world.path("client"));
        kit::Process::start(command, args[0])
    };
    let mut server = start(&["server", "1", "0", "0", "--files", "../files"]);
    server.wait_for("Server is listening on");
    let (mut balancer, address) = world.balancer(&[]);
    balancer.wait_for("Connected to server 1");
    let mut client = start(&["client", "2", "--balancer", &address.to_string(), "file colors.csv"]);
    assert!(client.wait().success(), "{}", client.said());
    assert!(world.path("received/colors.csv").exists());
}
