//! Programs of others that can be in the way, and how they are set up: as plain as they can be. No logging, no checks,
//! connections to servers kept, and as many threads as the machine has cores, which is what they take by themselves (nginx:
//! a process for each, all of them on one port).

use anyhow::Context;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    str::FromStr,
};

/// A program for the comparison that was named on the command line.
#[derive(Clone, Debug)]
pub struct Also {
    /// What it is called in the tables. It lives as long as the program: a [`Way`](super::contestant::Way) is a small value.
    pub name: &'static str,
    /// The program and its arguments.
    command: Vec<String>,
}

impl FromStr for Also {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("write NAME=COMMAND")?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if name.is_empty() || !["{listen}", "{servers}"].iter().all(|place| command.iter().any(|word| word == place)) {
            return Err(
                "the command needs {listen}, where it is to listen, and {servers}, whom it is to ask".to_owned()
            );
        }
        Ok(Self { name: Box::leak(name.into()), command })
    }
}

impl Also {
    /// Its command line, to listen there and to ask these servers.
    #[must_use]
    pub fn command(&self, listen: SocketAddr, servers: &[SocketAddr]) -> Vec<String> {
        let filled = |word: &String| match word.as_str() {
            "{listen}" => vec![listen.to_string()],
            "{servers}" => servers.iter().map(SocketAddr::to_string).collect(),
            _ => vec![word.clone()],
        };
        self.command.iter().flat_map(filled).collect()
    }
}

/// What a program says that is asked for its version; `None` if there is no such program.
#[must_use]
pub fn said_by(program: &str) -> Option<String> {
    let Output { stdout, stderr, .. } = Command::new(program).arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    Some(said.lines().next().unwrap_or_default().trim().to_owned())
}

/// HAProxy between clients and these servers. `mode`: `tcp` or `http`; `more`: further lines of its defaults.
pub fn haproxy(address: SocketAddr, servers: &[SocketAddr], mode: &str, more: &str) -> String {
    let server = |(number, address): (usize, &SocketAddr)| format!("    server s{} {address}\n", number + 1);
    let servers: String = servers.iter().enumerate().map(server).collect();
    let mode_needs = if mode == "http" { "    http-reuse always\n    option forwardfor\n" } else { "" };
    format!(
        "global\n    maxconn 4000\n\ndefaults\n    mode {mode}\n    maxconn 4000\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\n{mode_needs}{more}\nlisten lab\n    bind {address}\n    \
         balance roundrobin\n{servers}"
    )
}

/// One process of nginx between clients and these servers.
pub fn nginx_proxy(folder: &Path, address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers: String = servers.iter().map(|server| format!("        server {server};\n")).collect();
    nginx(
        folder,
        &format!(
            "    upstream lab {{\n{servers}        keepalive 512;\n        keepalive_requests 1000000000;\n    }}\n    \
             server {{\n        listen {address} reuseport backlog=4096;\n        location / {{\n            \
             proxy_pass http://lab;\n            proxy_http_version 1.1;\n            \
             proxy_set_header Connection \"\";\n            proxy_set_header X-Forwarded-For $remote_addr;\n            \
             proxy_max_temp_file_size 0;\n        }}\n    }}\n"
        ),
    )
}

/// One process of nginx that answers: `/small` from memory, anything else with files of this folder, by `sendfile`.
pub fn nginx_origin(folder: &Path, address: SocketAddr, files: &Path, small: &str) -> String {
    nginx(
        folder,
        &format!(
            "    sendfile on;\n    sendfile_max_chunk 1m;\n    server {{\n        listen {address} backlog=4096;\n        \
             root \"{}\";\n        location = /small {{\n            return 200 \"{small}\";\n        }}\n    }}\n",
            files.display()
        ),
    )
}

fn nginx(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places: String = places.iter().map(|one| format!("    {one}_temp_path \"{folder}/{one}\";\n")).collect();
    format!(
        "daemon off;\nmaster_process off;\npid \"{folder}/nginx.pid\";\nerror_log stderr;\nworker_rlimit_nofile 8192;\n\
         events {{\n    worker_connections 4096;\n}}\nhttp {{\n    access_log off;\n    tcp_nodelay on;\n    \
         keepalive_requests 1000000000;\n{places}{http}}}\n"
    )
}

/// Writes a configuration into a folder of its own there. Returns its path.
pub fn write(folder: &Path, text: impl FnOnce(&Path) -> String) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("The folder {} cannot be made", folder.display()))?;
    let path = folder.join("configuration");
    fs::write(&path, text(folder)).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_its_addresses() {
        let also: Also = "mine=/bin/proxy --on {listen} --to {servers}".parse().unwrap();
        let addresses: Vec<SocketAddr> =
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|a| a.parse().unwrap()).into();
        let command = also.command(addresses[0], &addresses[1..]).join(" ");
        assert_eq!((also.name, command.as_str()), ("mine", "/bin/proxy --on 127.0.0.1:1 --to 127.0.0.1:2 127.0.0.1:3"));
        for wrong in ["mine", "=a {listen} {servers}", "mine=a {listen}", "mine=a {servers}"] {
            assert!(wrong.parse::<Also>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_says_nothing() {
        assert_eq!(said_by("no-program-is-called-so"), None);
    }
}
