//! An nginx of our own, to which files can be uploaded (WebDAV).

use crate::{
    kit::{World, eventually},
    programs::{server, signal, text, wait},
};
use lab::process::free_port;
use rustix::process::Signal;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

/// An nginx. Dropping it ends it.
pub struct Nginx {
    pub address: SocketAddr,
    pub folder: World,
    child: Child,
}

impl Nginx {
    pub fn start() -> Self {
        let (folder, port) = (World::new(), free_port());
        let path = folder.path("nginx.conf");
        fs::write(&path, configuration(text(&folder.path("")), port)).unwrap();
        let mut server = server("nginx", &["-c", text(&path), "-e", "stderr"], "TERM");
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), folder, child };
        eventually("nginx listens", || TcpStream::connect(nginx.address).is_ok());
        nginx
    }
}

impl Nginx {
    /// The request lines that it has seen, with the status of its answer to each.
    pub fn seen(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It ends its worker with itself, which a kill would not.
        signal(&self.child, Signal::TERM);
        let _ended = wait(&mut self.child, Duration::from_secs(10));
    }
}

/// One process that does what it is told, and a second that serves. Where it was started by root it stays root, because
/// the folder belongs to whoever runs the test.
fn configuration(folder: &str, port: u16) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|name| format!("    {name}_temp_path {folder}{name};\n")).collect();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
pid {folder}nginx.pid;
events {{}}
http {{
    log_format seen '$request $status';
    access_log {folder}access.log seen;
{temporary}    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{port};
        location /files/ {{ root {folder}; dav_methods PUT DELETE; }}
        location /method {{ return 200 $request_method; }}
    }}
}}
"
    )
}
