//! The drills that there are.

use super::{
    asker::{Load, Mix},
    harm::Harm,
    scene::{Errors, Scene},
};
use std::time::Duration;

/// A drill that can be asked for by name.
#[derive(Debug)]
pub struct Drill {
    /// Its name.
    pub name: &'static str,
    /// What happens in it, and what is expected.
    pub about: &'static str,
    /// How it is played.
    pub scene: fn() -> Scene,
}

/// The drills, in the order in which `all` plays them.
pub const DRILLS: [Drill; 9] = [
    Drill { name: "kill", about: "Servers are killed under mixed load; no client notices", scene: kill },
    Drill { name: "stop", about: "Servers are stopped (SIGSTOP) and go on; nothing is lost or doubled", scene: stop },
    Drill { name: "cut-off", about: "Nothing passes between the load balancer and a server", scene: cut_off },
    Drill { name: "slow", about: "A server answers late, or later than anybody waits", scene: slow },
    Drill {
        name: "restart-balancer",
        about: "The load balancer is killed and started again; asking again settles what is unknown",
        scene: restart_balancer,
    },
    Drill { name: "crowd", about: "200 clients while servers are killed, stopped and restarted", scene: crowd },
    Drill { name: "downloads", about: "160 files of 4 MB while a server is killed every 0.85 s", scene: downloads },
    Drill {
        name: "copies-differ",
        about: "As downloads, of servers whose files differ: an error, never a mixture",
        scene: copies_differ,
    },
    Drill { name: "inserts", about: "1,600 INSERTs while a server is killed every 0.35 s", scene: inserts },
];

/// The drill of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

/// What most drills have in common.
fn usual(harm: Harm) -> Scene {
    Scene {
        servers: 3,
        processing_time: 0.05,
        capacity: 4,
        files: 8,
        file_size: 500_000,
        copies_differ: false,
        lines: false,
        load: Load {
            clients: 16,
            requests: 150,
            mix: Mix { files: 2, reads: 4, writes: 4 },
            timeout: Duration::from_secs(20),
        },
        harm,
        errors: Errors::Never,
    }
}

fn kill() -> Scene {
    usual(Harm::Kill { every_ms: 350..=850 })
}

fn stop() -> Scene {
    longer(usual(Harm::Stop { lasting_ms: 500..=4_000, every_ms: 100..=500 }))
}

fn cut_off() -> Scene {
    Scene { lines: true, ..longer(usual(Harm::CutOff { lasting_ms: 500..=6_000, every_ms: 100..=500 })) }
}

fn slow() -> Scene {
    let harm = Harm::Slow { delay_ms: 50..=3_500, lasting_ms: 500..=3_000, every_ms: 200..=600 };
    Scene { lines: true, ..longer(usual(harm)) }
}

/// Twice as long, for harm that lasts; and with less to hope for, because a process that hangs may hold what others need.
fn longer(scene: Scene) -> Scene {
    let load = Load { requests: scene.load.requests * 2, ..scene.load };
    Scene { load, errors: Errors::OpenPastDeadline, ..scene }
}

fn restart_balancer() -> Scene {
    Scene { errors: Errors::Open, ..usual(Harm::RestartBalancer { every_ms: 1_000..=2_000 }) }
}

fn crowd() -> Scene {
    let scene = Scene { processing_time: 0.01, ..usual(Harm::Mixed { every_ms: 200..=800 }) };
    let load = Load { clients: 200, requests: 50, timeout: Duration::from_secs(30), ..scene.load };
    Scene { load, errors: Errors::OpenPastDeadline, ..scene }
}

fn downloads() -> Scene {
    let scene = usual(Harm::Kill { every_ms: 850..=850 });
    let load = Load { clients: 4, requests: 40, mix: Mix { files: 1, reads: 0, writes: 0 }, ..scene.load };
    Scene { processing_time: 0.1, capacity: 1, file_size: 4_000_000, load, ..scene }
}

/// Large files, and hardly a pause between them, so that nearly every kill hits one in its middle.
fn copies_differ() -> Scene {
    let harm = Harm::Kill { every_ms: 500..=850 };
    let scene =
        Scene { copies_differ: true, files: 2, file_size: 20_000_000, errors: Errors::ButNoMixture, ..downloads() };
    Scene { processing_time: 0.01, harm, ..scene }
}

fn inserts() -> Scene {
    let scene = usual(Harm::Kill { every_ms: 350..=350 });
    let load = Load { clients: 16, requests: 100, mix: Mix { files: 0, reads: 0, writes: 1 }, ..scene.load };
    Scene { processing_time: 0.02, capacity: 1, load, ..scene }
}
