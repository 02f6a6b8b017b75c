//! The drills that there are.

use super::{
    asker::{Load, Mix},
    harm::{Deed, Harm},
    scene::{Between, Errors, Must, Scene},
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

const fn drill(name: &'static str, about: &'static str, scene: fn() -> Scene) -> Drill {
    Drill { name, about, scene }
}

/// The drills, in the order in which `all` plays them.
pub const DRILLS: [Drill; 22] = [
    drill("kill", "Servers are killed under mixed load; no client notices", kill),
    drill("stop", "Servers are stopped (SIGSTOP) and go on; nothing is lost or doubled", stop),
    drill("slow", "A server answers late, or later than anybody waits", slow),
    drill("late", "Answers come when they have been given up: dropped, delivered to nobody", late),
    drill("refuse", "A server lives, but its service port refuses connections", refuse),
    drill("vanish", "Every packet of a server is lost, in network namespaces where these are allowed", vanish),
    drill("cut-off", "Nothing passes between the load balancer and a server", cut_off),
    drill("flapping", "A server goes away and comes back every few hundred milliseconds", flapping),
    drill(
        "all-down",
        "All servers are killed, and come back: a definite answer in between, then all works again",
        all_down,
    ),
    drill("join", "Servers join under load, and get their share at once", join),
    drill("drain", "Server after server is drained under load, or ended with Ctrl-C: no client notices", drain),
    drill("policy", "The policy is changed again and again under load: no client notices", policy),
    drill(
        "queue-overflow",
        "More clients than places: a clear refusal at once, answers for everybody else",
        queue_overflow,
    ),
    drill("never-reads", "Clients that ask for much and do not read are cut off; others do not notice", never_reads),
    drill("hedged", "Servers die, hang and dawdle while copies are sent after 20 ms; no write happens twice", hedged),
    drill("duplicated", "The same while every request goes to two servers at once", duplicated),
    drill("restart-balancer", "The load balancer is killed; asking again settles what is unknown", restart_balancer),
    drill("end-balancer", "Ctrl-C of the load balancer with requests in hand: they finish", end_balancer),
    drill("crowd", "200 clients while servers are killed, stopped and restarted", crowd),
    drill("downloads", "160 files of 4 MB while a server is killed every 0.85 s", downloads),
    drill("copies-differ", "As downloads, of servers whose files differ: an error, never a mixture", copies_differ),
    drill("inserts", "1,600 INSERTs while a server is killed every 0.35 s", inserts),
];

/// The drill of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

/// How soon anything that makes a server useless must be noticed, in milliseconds.
const NOTICE_MS: u64 = 5_000;
/// How soon after that whoever lost it must have an answer, in milliseconds.
const RESCUE_MS: u64 = 2_000;

/// What most drills have in common.
fn usual(harm: Harm) -> Scene {
    Scene {
        servers: 3,
        processing_time: 0.05,
        capacity: 4,
        files: 8,
        file_size: 500_000,
        copies_differ: false,
        large_file: false,
        between: Between::Nothing,
        flags: Vec::new(),
        load: Load {
            clients: 16,
            requests: 150,
            mix: Mix { files: 2, reads: 4, writes: 4, returning: true },
            timeout: Duration::from_secs(20),
        },
        harm,
        errors: Errors::Never,
        more: vec![Must::NoticeWithinMs(NOTICE_MS), Must::RescueWithinMs(RESCUE_MS)],
    }
}

/// The same for harm that makes a process hang. What it holds (a lock of the database) others may need, so that there is
/// less to hope for: SQL may take until it goes on.
fn hanging(harm: Harm) -> Scene {
    Scene { errors: Errors::OpenPastDeadline, more: vec![Must::NoticeWithinMs(NOTICE_MS)], ..usual(harm) }
}

/// The same with a line to each server.
fn lined(scene: Scene) -> Scene {
    Scene { between: Between::Lines, ..scene }
}

/// The same with so many requests of each client.
fn asking(requests: u64, scene: Scene) -> Scene {
    Scene { load: Load { requests, ..scene.load }, ..scene }
}

/// The same with these flags of the load balancer.
fn with(flags: &[&str], scene: Scene) -> Scene {
    Scene { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), ..scene }
}

fn kill() -> Scene {
    usual(Harm::every(Deed::Kill, 350..=850))
}

fn stop() -> Scene {
    asking(120, hanging(Harm::lasting(Deed::Stop, 500..=4_000, 100..=500)))
}

fn slow() -> Scene {
    let slow = Deed::Slow { delay_ms: 50..=3_500 };
    asking(200, lined(hanging(Harm::lasting(slow, 500..=3_000, 200..=600))))
}

/// Nobody waits that long: an attempt gets the processing time and two seconds more.
fn late() -> Scene {
    let late = Deed::Slow { delay_ms: 2_400..=3_500 };
    let scene = asking(200, lined(hanging(Harm::lasting(late, 1_500..=3_000, 500..=1_000))));
    Scene { more: vec![Must::NoticeWithinMs(NOTICE_MS), Must::DropLateAnswers], ..scene }
}

/// Ejected for a second instead of five, so that the short absences of a drill are seen one by one.
const SOON_BACK: [&str; 2] = ["--eject", "errors 5 for 500ms longest 1s"];

fn refuse() -> Scene {
    with(&SOON_BACK, lined(usual(Harm::lasting(Deed::Refuse, 500..=3_000, 300..=800))))
}

/// With long pauses, because a server is back only when TCP has tried again.
fn vanish() -> Scene {
    let scene = asking(120, hanging(Harm::lasting(Deed::Vanish, 1_000..=6_000, 3_000..=4_000)));
    Scene { between: Between::Network, ..scene }
}

fn cut_off() -> Scene {
    asking(120, lined(hanging(Harm::lasting(Deed::CutOff, 500..=6_000, 100..=500))))
}

fn flapping() -> Scene {
    let flap = Harm::lasting(Deed::Flap { phase_ms: 200..=400 }, 5_000..=8_000, 500..=1_000);
    let scene = with(&SOON_BACK, lined(usual(flap)));
    Scene { more: vec![Must::ChangePerTenFlaps(10), Must::RescueWithinMs(RESCUE_MS)], ..scene }
}

fn all_down() -> Scene {
    let scene = usual(Harm::lasting(Deed::AllDown, 1_000..=4_500, 2_000..=3_000));
    Scene { errors: Errors::NoServer, more: vec![Must::NoticeWithinMs(NOTICE_MS)], ..scene }
}

fn join() -> Scene {
    Scene { servers: 1, more: Vec::new(), ..usual(Harm::every(Deed::Join { at_most: 6 }, 800..=1_200)) }
}

fn drain() -> Scene {
    let scene = asking(250, usual(Harm::lasting(Deed::Drain, 300..=800, 200..=400)));
    Scene { more: vec![Must::EmptyWithinMs(2_500)], ..scene }
}

fn policy() -> Scene {
    Scene { more: vec![Must::ChangePolicy(50)], ..usual(Harm::every(Deed::ChangePolicy, 40..=120)) }
}

/// 12 places at servers, 8 in the queue, 60 clients.
fn queue_overflow() -> Scene {
    let scene = with(&["--max-queue", "8"], usual(Harm::every(Deed::Crowd, 1_000..=1_000)));
    let load = Load { clients: 60, requests: 100, ..scene.load };
    Scene { load, errors: Errors::NoRoom, more: vec![Must::RefuseWithinMs(100)], ..scene }
}

/// What a connection holds is some megabytes, and each block of it has five seconds, so that it takes ten to fifteen until
/// somebody who does not read is cut off. A rude client holds a place until it is cut off, so there are more places than rude clients and others together.
fn never_reads() -> Scene {
    let harm = Harm::lasting(Deed::NeverRead { clients: 8 }, 20_000..=20_000, 1_000..=1_000);
    let more = vec![Must::CutOffWithinMs(16_000), Must::KeepP99OrMs(150), Must::GrowByMib(32)];
    let scene = asking(350, Scene { capacity: 12, large_file: true, more, ..usual(harm) });
    Scene { file_size: 100_000, load: Load { clients: 8, ..scene.load }, ..scene }
}

/// Kill, stop, restart and late answers, while requests are at several servers at once.
fn copied(flags: &[&str]) -> Scene {
    asking(120, with(flags, lined(hanging(Harm::every(Deed::MixedOrSlow, 300..=900)))))
}

fn hedged() -> Scene {
    copied(&["--hedge-after", "20ms", "--hedge-budget", "50%"])
}

fn duplicated() -> Scene {
    copied(&["--duplicate", "2"])
}

fn restart_balancer() -> Scene {
    let scene = usual(Harm::every(Deed::RestartBalancer, 1_000..=2_000));
    Scene { errors: Errors::Open, more: Vec::new(), ..scene }
}

fn end_balancer() -> Scene {
    let scene = usual(Harm::every(Deed::EndBalancer, 1_000..=2_000));
    Scene { errors: Errors::Ending, more: vec![Must::FinishWhatIsTaken], ..scene }
}

fn crowd() -> Scene {
    let scene = Scene { processing_time: 0.01, ..hanging(Harm::every(Deed::Mixed, 200..=800)) };
    let load = Load { clients: 200, requests: 50, timeout: Duration::from_secs(30), ..scene.load };
    Scene { load, ..scene }
}

fn downloads() -> Scene {
    let scene = usual(Harm::every(Deed::Kill, 850..=850));
    let mix = Mix { files: 1, reads: 0, writes: 0, returning: false };
    let load = Load { clients: 4, requests: 40, mix, ..scene.load };
    Scene { processing_time: 0.1, capacity: 1, file_size: 4_000_000, load, ..scene }
}

/// Large files, and hardly a pause between them, so that nearly every kill hits one in its middle.
fn copies_differ() -> Scene {
    let scene =
        Scene { copies_differ: true, files: 2, file_size: 20_000_000, errors: Errors::ButNoMixture, ..downloads() };
    Scene { processing_time: 0.01, harm: Harm::every(Deed::Kill, 500..=850), more: Vec::new(), ..scene }
}

fn inserts() -> Scene {
    let scene = usual(Harm::every(Deed::Kill, 350..=350));
    let mix = Mix { files: 0, reads: 0, writes: 1, returning: true };
    let load = Load { clients: 16, requests: 100, mix, ..scene.load };
    Scene { processing_time: 0.02, capacity: 1, load, ..scene }
}
