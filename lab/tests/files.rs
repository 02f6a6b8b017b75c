//! Files: any size, any content, any name, bit for bit, in bounded memory.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Answer, Asking, Lab, World};
use std::fs::File;

/// Files of 0, 1 and some million bytes, at the edges of chunks and buffers, arrive bit for bit.
#[test]
fn files_of_all_sizes_arrive_bit_for_bit() {
    let world = World::new();
    let kib = 1024;
    let sizes = [0, 1, 31, 32, 33, 8 * kib, 255 * kib, 256 * kib - 1, 256 * kib, 256 * kib + 1];
    let sizes = sizes.into_iter().chain([1_000_000, 1024 * kib - 1, 1024 * kib, 1024 * kib + 1, 9_999_999]);
    let sizes: Vec<usize> = sizes.collect();
    for size in &sizes {
        std::fs::write(world.path(&format!("files/{size}.bin")), kit::pattern(*size, *size as u64)).unwrap();
    }
    let lab = Lab::start_in(world, &["0", "0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    for size in sizes {
        let Answer::File { bytes, .. } = asking.file(&format!("{size}.bin")) else { panic!("{size} bytes") };
        assert!(bytes.unwrap() == kit::pattern(size, size as u64), "{size} bytes differ");
    }
}

/// Names with spaces, quotes, other alphabets and folders are names; the client program keeps them.
#[test]
fn names_with_spaces_and_letters_of_all_languages_arrive() {
    let world = World::new();
    let names = ["two words.txt", "größe.csv", "日本語.bin", "it's.txt", "-n", "a;b.txt", "ünder score_1.2.tar.gz"];
    for name in names {
        std::fs::write(world.path(&format!("files/{name}")), name).unwrap();
    }
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    let requests: String = names.iter().map(|name| format!("file {name}\n")).collect();
    let output = lab.world.client(lab.address, &["--format", "json"], &requests);
    assert!(output.status.success(), "{}\n{}", kit::text(&output.stdout), kit::text(&output.stderr));
    for name in names {
        assert_eq!(std::fs::read_to_string(lab.world.path(&format!("received/{name}"))).unwrap(), name);
    }
}

/// While a gibibyte passes from a server through the load balancer to the client program, none of the three grows by
/// more than 32 MiB.
#[test]
#[cfg(target_os = "linux")]
fn a_gibibyte_passes_in_bounded_memory() {
    const SIZE: u64 = 1 << 30;
    const GROWTH: u64 = 32 << 20;
    let world = World::new();
    // Sparse, with marks: its zeros cost no disk, its marks would show a shift.
    let file = File::create(world.path("files/large.bin")).unwrap();
    file.set_len(SIZE).unwrap();
    for at in (0..SIZE).step_by(77_777_777) {
        std::os::unix::fs::FileExt::write_at(&file, &at.to_be_bytes(), at).unwrap();
    }
    let lab = Lab::start_in(world, &["0"], &["--quiet"]);
    assert!(matches!(Asking::connect(lab.address).file("colors.csv"), Answer::File { .. }));
    let before = [lab.servers[0].pid(), lab.balancer.pid()].map(|pid| (pid, kit::resident(pid)));

    let balancer = lab.address.to_string();
    let mut client = lab.world.spawn(&["client", "2", "--balancer", &balancer, "--format", "json", "file large.bin"]);
    let client_begin = kit::resident(client.pid());
    let mut client_peak = client_begin;
    while client.is_running() {
        if let Ok(now) = std::panic::catch_unwind(|| kit::peak_resident(client.pid())) {
            client_peak = client_peak.max(now);
        }
        std::thread::yield_now();
    }
    assert!(client.wait().success(), "{}", client.said());

    for (pid, resident) in before {
        let grown = kit::peak_resident(pid).saturating_sub(resident);
        assert!(grown < GROWTH, "process {pid} grew by {grown} bytes");
    }
    let grown = client_peak - client_begin;
    assert!(grown < GROWTH, "the client grew by {grown} bytes");
    assert_same(&lab.world.path("files/large.bin"), &lab.world.path("received/large.bin"));
}

fn assert_same(one: &std::path::Path, other: &std::path::Path) {
    use std::io::Read;
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = one.read(&mut a).unwrap();
        if n == 0 {
            assert_eq!(other.read(&mut b).unwrap(), 0, "longer");
            return;
        }
        other.read_exact(&mut b[..n]).unwrap();
        assert!(a[..n] == b[..n], "different");
    }
}
