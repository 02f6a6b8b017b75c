//! Clients among themselves: who gets which server, and who waits.

use super::{Model, Version};
use crate::race::{
    desk::{Desk, Got, Patience, Real, inspector},
    planted::{Mistake, Misuse, Misused, Textbook},
    stage::{Actor, Stage},
};
use loadbalancer::{
    policy::Name,
    pool::core::{Settings, Wanted},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The models of this file.
pub const CLIENTS: &[Model] = &[
    Model {
        name: "two-clients",
        shows: "Two clients want the only server: never do both have it, and both get it.",
        real: Version::real(|stage| clients(stage, real(&[1]), 2)),
        planted: &[
            Version {
                name: "look-then-take",
                about: "A client looks which server is idle, and takes it in a second step.",
                play: |stage| clients(stage, Textbook::new(1, Mistake::LookThenTake), 2),
            },
            Version {
                name: "look-then-wait",
                about: "A client looks whether a server is idle, and gets in line in a second step.",
                play: |stage| clients(stage, Textbook::new(1, Mistake::LookThenWait), 2),
            },
        ],
    },
    Model {
        name: "lost-wake-up",
        shows: "A server comes back in the moment in which somebody begins to wait: it finds him.",
        real: Version::real(|stage| wake_up(stage, real(&[1]))),
        planted: &[Version {
            name: "look-then-wait",
            about: "A client looks whether a server is idle, and gets in line in a second step.",
            play: |stage| wake_up(stage, Textbook::new(1, Mistake::LookThenWait)),
        }],
    },
    Model {
        name: "withdrawal",
        shows: "A client gives up in the moment in which its server comes: the server goes to the next.",
        real: Version::real(|stage| withdrawal(stage, real(&[1]))),
        planted: &[Version {
            name: "forgets-the-channel",
            about: "A client that gives up does not look whether its server has come in that moment.",
            play: |stage| withdrawal(stage, Misused { real: real(&[1]), misuse: Misuse::ForgetsTheChannel }),
        }],
    },
    Model {
        name: "three-clients",
        shows: "Three clients, two servers: no server is shared, and nobody waits while one is idle.",
        real: Version::real(|stage| {
            let desk = Arc::new(real(&[1, 1]));
            inspector(stage, &desk, 1);
            clients_at(stage, &desk, 3);
        }),
        planted: &[
            Version {
                name: "look-then-take",
                about: "A client looks which server is idle, and takes it in a second step.",
                play: |stage| clients(stage, Textbook::new(2, Mistake::LookThenTake), 3),
            },
            Version {
                name: "gives-back-twice",
                about: "A server is given back when the answer is there, and again when the request is put away.",
                play: |stage| clients(stage, Misused { real: real(&[1]), misuse: Misuse::GivesBackTwice }, 3),
            },
        ],
    },
    Model {
        name: "no-overtaking",
        shows: "A server comes back while one client waits and another one arrives: who has waited gets it.",
        real: Version::real(|stage| overtaking(stage, real(&[1]))),
        planted: &[Version {
            name: "idle-then-serve",
            about: "A server is put on the idle list, and the line is served in a second step.",
            play: |stage| overtaking(stage, Textbook::new(1, Mistake::IdleThenServe)),
        }],
    },
    Model {
        name: "in-turn",
        shows: "A client with two waiting requests and one with one take turns, whoever gives servers back.",
        real: Version::real(|stage| turns(stage, [7, 7, 8])),
        planted: &[Version {
            name: "one-name-for-all",
            about: "All requests wait under the same client's name: first come, first served.",
            play: |stage| turns(stage, [7, 7, 7]),
        }],
    },
    Model {
        name: "full-queue",
        shows: "One place in the queue: who finds it taken is refused, who gives it up makes room, and nothing is lost.",
        real: Version::real(|stage| withdrawal(stage, Real::new(Settings::of(Name::Power, 1), &[1]))),
        planted: &[Version {
            name: "forgets-the-channel",
            about: "A client that gives up does not look whether its server has come in that moment.",
            play: |stage| {
                let real = Real::new(Settings::of(Name::Power, 1), &[1]);
                withdrawal(stage, Misused { real, misuse: Misuse::ForgetsTheChannel });
            },
        }],
    },
];

/// The scenes that are played with a textbook pool, without a mistake.
#[cfg(test)]
pub fn textbook() -> [fn(&Arc<Stage>); 3] {
    [
        |stage| clients(stage, Textbook::new(1, Mistake::None), 2),
        |stage| wake_up(stage, Textbook::new(1, Mistake::None)),
        |stage| overtaking(stage, Textbook::new(1, Mistake::None)),
    ]
}

/// The pool of the program, with servers of these capacities.
pub(super) fn real(capacities: &[u32]) -> Real {
    Real::new(Settings::of(Name::Power, 9), capacities)
}

/// What a client of this number wants.
pub(super) fn client(number: u64) -> Wanted {
    Wanted { client: number, ..Wanted::default() }
}

/// Clients who each ask once.
fn clients<D: Desk>(stage: &Arc<Stage>, desk: D, clients: u64) {
    clients_at(stage, &Arc::new(desk), clients);
}

fn clients_at<D: Desk>(stage: &Arc<Stage>, desk: &Arc<D>, clients: u64) {
    for number in 1..=clients {
        let desk = Arc::clone(desk);
        stage.thread(&format!("client {number}"), move |me| me.asks(&*desk, &client(number), Patience::Long));
    }
    stage.race(|| desk.standing());
}

/// The first client has the server already.
fn wake_up<D: Desk>(stage: &Arc<Stage>, desk: D) {
    let desk = Arc::new(desk);
    has_one(stage, &desk, "client 1", 1);
    let second = Arc::clone(&desk);
    stage.thread("client 2", move |me| me.asks(&*second, &client(2), Patience::Long));
    stage.race(|| desk.standing());
}

/// A client that has taken a server before the race, and gives it back during it.
pub(super) fn has_one<D: Desk>(stage: &Arc<Stage>, desk: &Arc<D>, name: &str, number: u64) {
    let early = stage.actor(name);
    let Got::Server(server) = desk.take(&early, &client(number)) else { return early.broken("No server.".to_owned()) };
    early.begins(server, 1);
    let desk = Arc::clone(desk);
    stage.thread(name, move |me| {
        me.ends(server);
        desk.give_back(me, server);
    });
}

fn withdrawal<D: Desk>(stage: &Arc<Stage>, desk: D) {
    let desk = Arc::new(desk);
    has_one(stage, &desk, "client 1", 1);
    for (number, patience) in [(2, Patience::None), (3, Patience::Long)] {
        let desk = Arc::clone(&desk);
        stage.thread(&format!("client {number}"), move |me| me.asks(&*desk, &client(number), patience));
    }
    stage.race(|| desk.standing());
}

/// Client 1 has the server, client 2 waits for it, client 3 arrives in the race.
fn overtaking<D: Desk>(stage: &Arc<Stage>, desk: D) {
    let (desk, served) = (Arc::new(desk), Arc::new(AtomicBool::new(false)));
    has_one(stage, &desk, "client 1", 1);
    let told = Arc::clone(&served);
    has_a_place(stage, &desk, "client 2", 2, move |_| told.store(true, Ordering::Relaxed));
    let arriving = Arc::clone(&desk);
    stage.thread("client 3", move |me| {
        let Some(server) = me.gets(&*arriving, &client(3), Patience::Long) else { return };
        if !served.load(Ordering::Relaxed) {
            me.broken("Client 3 came last and got the server, while client 2 was waiting for it.".to_owned());
        }
        me.begins(server, 1);
        me.ends(server);
        arriving.give_back(me, server);
    });
    stage.race(|| desk.standing());
}

/// A client that waits before the race begins, and does something with its server when it comes.
fn has_a_place<D: Desk>(
    stage: &Arc<Stage>,
    desk: &Arc<D>,
    name: &str,
    number: u64,
    served: impl FnOnce(&Actor) + Send + 'static,
) {
    let Got::Place(place, receiver) = desk.take(&stage.actor(name), &client(number)) else {
        return stage.broken("No place in the queue.".to_owned());
    };
    let desk = Arc::clone(desk);
    stage.thread(name, move |me| {
        me.waits(receiver.closer());
        let handed = receiver.wait();
        me.waits_no_longer();
        let Some(thing) = handed else { return desk.give_up(me, place, &receiver) };
        me.begins(D::server(&thing), 1);
        served(me);
        me.ends(D::server(&thing));
        desk.give_back(me, D::server(&thing));
    });
}

/// Three requests wait, of these clients; those who have the two servers give them back in the race. The first and the
/// third must get them, in whatever order; they keep them until nobody else can move.
fn turns(stage: &Arc<Stage>, clients: [u64; 3]) {
    let (desk, third) = (Arc::new(real(&[1, 1])), Arc::new(AtomicBool::new(false)));
    has_one(stage, &desk, "client 1", 1);
    has_one(stage, &desk, "client 2", 2);
    let (told, seen) = (Arc::clone(&third), third);
    has_a_place(stage, &desk, "client 7 with its first", clients[0], Actor::keeps);
    has_a_place(stage, &desk, "client 7 with its second", clients[1], move |me| {
        if !seen.load(Ordering::Relaxed) {
            me.broken("Client 7 has had two turns, and client 8 none.".to_owned());
        }
    });
    has_a_place(stage, &desk, "client 8", clients[2], move |me| {
        told.store(true, Ordering::Relaxed);
        me.keeps();
    });
    stage.race(|| desk.standing());
}
