//! TLS passes through untouched: the load balancer has neither key nor certificate.

use crate::{
    front::Front,
    kit::{Process, World},
    programs::{are_here, command, run, server, text},
};
use std::{net::SocketAddr, path::PathBuf};

/// `openssl s_server` with a certificate that was made for it.
struct Server {
    address: SocketAddr,
    certificate: PathBuf,
    _process: Process,
    _folder: World,
}

impl Server {
    fn start(what: &str) -> Self {
        let folder = World::new();
        let (key, certificate) = (folder.path("key.pem"), folder.path("certificate.pem"));
        let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
        let names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", text(&key), "-out", text(&certificate)];
        run(command("openssl", &[&made[..], &names].concat()), "").done();
        let args = ["s_server", "-accept", "127.0.0.1:0", "-key", text(&key), "-cert", text(&certificate), what];
        let mut process = Process::start(server("openssl", &args, "KILL"), "s_server");
        let line = process.wait_for("ACCEPT ");
        let address = line.trim().strip_prefix("ACCEPT ").unwrap().parse().unwrap();
        Self { address, certificate, _process: process, _folder: folder }
    }
}

#[test]
fn a_tls_connection_is_between_its_two_ends() {
    if !are_here(&["openssl"]) {
        return;
    }
    let server = Server::start("-rev");
    let front = Front::tcp(&[server.address], "round-robin");
    let at = front.address.to_string();
    let trust = ["-CAfile", text(&server.certificate), "-verify_return_error", "-verify_hostname", "localhost"];
    let client = command("openssl", &[&["s_client", "-connect", &at, "-ign_eof"][..], &trust].concat());
    // The server says lines backwards, and ends the connection at this word.
    let said = run(client, "stressed\nCLOSE\n").done();
    assert!(said.contains("desserts") && said.contains("Verify return code: 0 (ok)"), "{said}");
}

#[test]
fn curl_speaks_https_through_it() {
    if !are_here(&["openssl", "curl"]) {
        return;
    }
    let server = Server::start("-www");
    let front = Front::tcp(&[server.address], "round-robin");
    let (name, url) = (format!("localhost:{}:127.0.0.1", front.port()), format!("https://localhost:{}/", front.port()));
    let args = ["-sS", "--max-time", "30", "--cacert", text(&server.certificate), "--resolve", &name, &url];
    let page = run(command("curl", &args), "").done();
    assert!(page.contains("Ciphers supported"), "{page}");
}
