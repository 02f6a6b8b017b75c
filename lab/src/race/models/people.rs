//! What people order while clients take: draining, capacity, policies; and copies of requests.

use super::{
    Model, Version,
    clients::{client, has_one, real},
};
use crate::race::{
    desk::{Desk, NOW, Patience, inspector, key},
    stage::Stage,
};
use clap::ValueEnum as _;
use loadbalancer::{
    policy::{Ended, Name, Options},
    pool::core::{Admin, Effects, Wanted},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The models of this file.
pub const PEOPLE: &[Model] = &[
    Model {
        name: "drain",
        shows: "A server is drained while somebody waits for it, and is ready again: he gets it, but not in between.",
        real: Version::real(|stage| drain(stage, false)),
        planted: &[Version {
            name: "drains-on-paper",
            about: "The order is noted beside the pool, and clients look at the note before they ask.",
            play: |stage| drain(stage, true),
        }],
    },
    Model {
        name: "capacity",
        shows: "A capacity is raised and lowered while clients take: never does a server get more than it may have.",
        real: Version::real(capacity),
        planted: &[],
    },
    Model {
        name: "policies",
        shows: "The policy changes with every request, through all that there are: each request has one server.",
        real: Version::real(policies),
        planted: &[],
    },
    Model {
        name: "copies",
        shows: "A request wants a second server for a copy: never the same one, and never one that somebody waits for.",
        real: Version::real(|stage| copies(stage, true)),
        planted: &[Version {
            name: "copies-first",
            about: "A copy takes what is free without avoiding the server that has the request.",
            play: |stage| copies(stage, false),
        }],
    },
];

/// Client 1 has server 1 and gives it back, two others want it, a person drains it and has it back. With `on_paper` the
/// pool hears nothing of that.
fn drain(stage: &Arc<Stage>, on_paper: bool) {
    let (desk, drained) = (Arc::new(real(&[1])), Arc::new(AtomicBool::new(false)));
    has_one(stage, &desk, "client 1", 1);
    for number in 2..=3 {
        let (desk, drained) = (Arc::clone(&desk), Arc::clone(&drained));
        stage.thread(&format!("client {number}"), move |me| {
            if on_paper {
                me.tell(|| format!("reads the note: server 1 is {}", words(drained.load(Ordering::Relaxed))));
                if drained.load(Ordering::Relaxed) {
                    return;
                }
                me.time_passes();
            }
            let before = drained.load(Ordering::Relaxed);
            let Some(server) = me.gets(&*desk, &client(number), Patience::Long) else { return };
            // It was drained before it was asked for, and is still: nobody may have it.
            if before && drained.load(Ordering::Relaxed) {
                me.broken(format!("Client {number} asked when server {server} was drained, and got it."));
            }
            me.begins(server, 1);
            me.ends(server);
            desk.give_back(me, server);
        });
    }
    let orders = Arc::clone(&desk);
    stage.thread("a person", move |me| {
        let order = |admin: Admin| {
            if !on_paper {
                orders.order(|inner| inner.core.decide_on(key(1), admin));
            }
        };
        order(Admin::Drain);
        me.tell(|| "has server 1 drained".to_owned());
        drained.store(true, Ordering::Relaxed);
        me.time_passes();
        drained.store(false, Ordering::Relaxed);
        me.tell(|| "has server 1 back".to_owned());
        order(Admin::Ready);
    });
    stage.race(|| desk.standing());
}

fn words(drained: bool) -> &'static str {
    if drained { "drained" } else { "ready" }
}

/// Three clients at one server, whose capacity goes from 1 to 2 and back. When all is quiet it must be 1 again.
fn capacity(stage: &Arc<Stage>) {
    let desk = Arc::new(real(&[1]));
    inspector(stage, &desk, 2);
    for number in 1..=3 {
        let desk = Arc::clone(&desk);
        stage.thread(&format!("client {number}"), move |me| {
            let Some(server) = me.gets(&*desk, &client(number), Patience::Long) else { return };
            me.begins(server, 2);
            me.time_passes();
            me.ends(server);
            desk.give_back(me, server);
        });
    }
    let orders = Arc::clone(&desk);
    stage.thread("a person", move |me| {
        for capacity in [2, 1] {
            orders.order(|inner| {
                me.tell(|| format!("gives server 1 the capacity {capacity}"));
                inner.core.resize(key(1), capacity)
            });
        }
        me.keeps();
        let Some(server) = me.gets(&*orders, &client(4), Patience::Long) else { return };
        me.begins(server, 1);
        if me.gets(&*orders, &client(4), Patience::None).is_some() {
            me.broken("Server 1 is to have one request at once, and gets a second one.".to_owned());
        }
        me.ends(server);
        orders.give_back(me, server);
    });
    stage.race(|| desk.standing());
}

/// Two clients at two servers, while somebody goes through all policies.
fn policies(stage: &Arc<Stage>) {
    let desk = Arc::new(real(&[1, 1]));
    for number in 1..=3 {
        let desk = Arc::clone(&desk);
        stage.thread(&format!("client {number}"), move |me| me.asks(&*desk, &client(number), Patience::Long));
    }
    let orders = Arc::clone(&desk);
    stage.thread("a person", move |me| {
        for policy in Name::value_variants() {
            orders.order(|inner| {
                me.tell(|| format!("has {policy} choose from now on"));
                inner.core.change_policy(*policy, &Options::default());
                Effects::default()
            });
        }
    });
    stage.race(|| desk.standing());
}

/// Client 1 has a server and wants another one for a copy; two others want servers. Server 1 would take a second request.
fn copies(stage: &Arc<Stage>, avoiding: bool) {
    let desk = Arc::new(real(&[2, 1]));
    for number in 2..=3 {
        let desk = Arc::clone(&desk);
        stage.thread(&format!("client {number}"), move |me| {
            let Some(server) = me.gets(&*desk, &client(number), Patience::Long) else { return };
            me.begins(server, 2);
            me.time_passes();
            me.ends(server);
            desk.give_back(me, server);
        });
    }
    let first = Arc::clone(&desk);
    stage.thread("client 1", move |me| {
        let Some(server) = me.gets(&*first, &client(1), Patience::Long) else { return };
        me.begins(server, 2);
        let avoid = if avoiding { vec![key(server)] } else { Vec::new() };
        let copy = first.pool.take_another(&Wanted { avoid, ..client(1) }).map(|(copy, _)| copy);
        if let Some(copy) = copy {
            let runner = me.stage.actor("client 1's copy");
            if copy == server {
                me.broken(format!("Server {server} has the request, and is given a copy of it."));
            }
            runner.begins(copy, 2);
            me.time_passes();
            runner.ends(copy);
            first.order(|inner| inner.core.give_back(key(copy), Ended::Cancelled, NOW));
        }
        me.ends(server);
        first.give_back(me, server);
    });
    stage.race(|| desk.standing());
}
