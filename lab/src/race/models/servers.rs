//! Servers that come, go, fail, and are asked what they are doing.

use super::{
    Model, Version,
    clients::{client, has_one, real},
};
use crate::race::{
    desk::{Desk, NOW, Patience, Real, key},
    stage::{Actor, Stage},
};
use loadbalancer::{
    health::outlier::Rules,
    policy::{Ended, Name},
    pool::core::{Effects, Newcomer, Settings},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

/// The models of this file.
pub const SERVERS: &[Model] = &[
    Model {
        name: "doubt",
        shows: "An answer is lost while the server is being asked: nobody else gets the server before it is done.",
        real: Version::real(|stage| doubt(stage, |desk, me, server, ask| desk.asks_and_settles(me, server, ask))),
        planted: &[Version {
            name: "believes-old-answers",
            about: "What is in doubt is noted after the server was asked, so an answer older than the doubt settles it.",
            play: |stage| {
                doubt(stage, |desk, me, server, ask| {
                    let serving = ask();
                    let doubts = desk.pool.look(|inner| inner.core.doubts(key(server)));
                    desk.settles(me, server, serving, doubts);
                });
            },
        }],
    },
    Model {
        name: "leaving",
        shows: "The server that somebody waits for leaves, while another one joins: he gets the one or the other, once.",
        real: Version::real(|stage| leaving(stage, true)),
        planted: &[Version {
            name: "joins-unseen",
            about: "A server is put on the list, and nobody looks who waits.",
            play: |stage| leaving(stage, false),
        }],
    },
    Model {
        name: "down",
        shows: "A server goes down while clients take: whoever asks after that gets the other one.",
        real: Version::real(down),
        planted: &[],
    },
    Model {
        name: "ejection",
        shows: "Both servers fail under two threads at once: never both are ejected, and nobody waits for ever.",
        real: Version::real(ejection),
        planted: &[],
    },
];

/// How a doubt is settled: the pool, who does it, the server, and what asks it.
type Settle = fn(&Real, &Actor, u32, &dyn Fn() -> u32);

/// Client 1 takes the only server and loses its connection at once, while the server goes on working. Client 2 waits for
/// it. Somebody asks the server twice what it is doing.
fn doubt(stage: &Arc<Stage>, settle: Settle) {
    let (desk, working) = (Arc::new(real(&[1])), Arc::new(AtomicU32::new(0)));
    let (first, second, asking) = (Arc::clone(&desk), Arc::clone(&desk), Arc::clone(&desk));
    let work = Arc::clone(&working);
    stage.thread("client 1", move |me| {
        let Some(server) = me.gets(&*first, &client(1), Patience::Long) else { return };
        work.fetch_add(1, Ordering::Relaxed);
        me.begins(server, 1);
        first.order(|inner| {
            me.loses(server);
            inner.core.doubt(key(server), NOW)
        });
        me.keeps();
        // Only now the server is done, and somebody asks it once more.
        work.fetch_sub(1, Ordering::Relaxed);
        first.asks_and_settles(me, server, || 0);
    });
    let busy = Arc::clone(&working);
    stage.thread("client 2", move |me| {
        let Some(server) = me.gets(&*second, &client(2), Patience::Long) else { return };
        me.begins(server, 1);
        if busy.load(Ordering::Relaxed) > 0 {
            me.broken(format!("Client 2 has server {server}, which is still working for client 1."));
        }
        me.ends(server);
        second.give_back(me, server);
    });
    stage.thread("the contact", move |me| {
        for _ in 0..2 {
            settle(&asking, me, 1, &|| {
                let serving = working.load(Ordering::Relaxed);
                me.tell(|| format!("asks server 1 what it is doing, and hears: serving {serving}"));
                me.time_passes();
                serving
            });
        }
    });
    stage.race(|| desk.standing());
}

/// Client 1 has server 1, client 2 wants one; server 1 leaves, server 2 joins.
fn leaving(stage: &Arc<Stage>, seen: bool) {
    let desk = Arc::new(real(&[1]));
    has_one(stage, &desk, "client 1", 1);
    let (waiting, leaves, joins) = (Arc::clone(&desk), Arc::clone(&desk), Arc::clone(&desk));
    stage.thread("client 2", move |me| me.asks(&*waiting, &client(2), Patience::Long));
    stage.thread("server 1", move |me| {
        leaves.order(|inner| {
            me.tell(|| "leaves".to_owned());
            inner.members.remove(&key(1));
            inner.core.leave(key(1))
        });
    });
    stage.thread("server 2", move |me| {
        me.tell(|| "joins".to_owned());
        if seen {
            joins.joins(1);
        } else {
            joins.change(|inner| {
                let (key, _who_waits) = inner.core.join(Newcomer { capacity: 1, ..Newcomer::default() });
                inner.members.insert(key, 2);
                ((), Effects::default())
            });
        }
    });
    stage.race(|| desk.standing());
}

/// Two clients ask; server 1, which is the first choice, goes down meanwhile. A third asks when it is down.
fn down(stage: &Arc<Stage>) {
    let (desk, is_down) = (Arc::new(real(&[1, 1])), Arc::new(AtomicBool::new(false)));
    for number in 1..=2 {
        let (desk, is_down) = (Arc::clone(&desk), Arc::clone(&is_down));
        stage.thread(&format!("client {number}"), move |me| {
            let was_down = is_down.load(Ordering::Relaxed);
            let Some(server) = me.gets(&*desk, &client(number), Patience::Long) else { return };
            // It was down before it was asked for, and is still.
            if was_down && server == 1 && is_down.load(Ordering::Relaxed) {
                me.broken(format!("Client {number} asked when server 1 was down, and got it."));
            }
            me.begins(server, 1);
            me.ends(server);
            desk.give_back(me, server);
        });
    }
    let contact = Arc::clone(&desk);
    stage.thread("the contact", move |me| {
        contact.order(|inner| {
            me.tell(|| "hears nothing of server 1, which is down".to_owned());
            inner.core.down(key(1))
        });
        is_down.store(true, Ordering::Relaxed);
        me.time_passes();
        is_down.store(false, Ordering::Relaxed);
        contact.asks_and_settles(me, 1, || 0);
    });
    stage.race(|| desk.standing());
}

/// One failure is enough to be suspected. Two threads report failures of both servers; a client asks.
fn ejection(stage: &Arc<Stage>) {
    let eject = Rules { consecutive_errors: 1, base: Duration::from_secs(5), ..Rules::default() };
    let desk = Arc::new(Real::new(Settings { eject, ..Settings::of(Name::Power, 9) }, &[1, 1]));
    for number in 1..=2 {
        let desk = Arc::clone(&desk);
        stage.thread(&format!("client {number}"), move |me| {
            for _ in 0..2 {
                let Some(server) = me.gets(&*desk, &client(number), Patience::Long) else { continue };
                me.begins(server, 1);
                me.tell(|| format!("gets nothing from server {server}: a failure"));
                me.ends(server);
                desk.order(|inner| inner.core.give_back(key(server), Ended::Failed, NOW));
                let out = |server: &u32| {
                    desk.pool.look(|inner| inner.core.look(key(*server)).is_some_and(|standing| standing.ejected))
                };
                if [1, 2].iter().filter(|server| out(server)).count() > 1 {
                    me.broken("Both servers are ejected.".to_owned());
                }
            }
        });
    }
    let third = Arc::clone(&desk);
    stage.thread("client 3", move |me| me.asks(&*third, &client(3), Patience::Long));
    stage.race(|| desk.standing());
}
