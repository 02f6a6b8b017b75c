//! Harm to processes: what signals can do, and starting again what they have ended.

use super::strike::{Blow, Field};
use anyhow::bail;
use protocol::deadline::Deadline;
use std::time::{Duration, Instant};

/// How long a server may take to end when it is asked to. It has requests of a fraction of a second.
const END_TIME: Duration = Duration::from_secs(20);
/// How long the load balancer may take to finish what it has.
const FINISH_TIME: Duration = Duration::from_secs(20);

/// `kill -9`, and started again at once.
pub(super) fn kill(field: &mut Field<'_>, victim: usize) -> anyhow::Result<Blow> {
    field.ground.servers[victim].child.kill();
    field.ground.start_again(victim)?;
    Ok(Blow::away(format!("killed server {}", field.id(victim)), field.ids(victim)))
}

/// Ended in order, and started again.
pub(super) fn restart(field: &mut Field<'_>, victim: usize) -> anyhow::Result<Blow> {
    field.ground.servers[victim].child.ask_to_end()?;
    end_in_order(field, victim)?;
    field.ground.start_again(victim)?;
    Ok(Blow::away(format!("restarted server {}", field.id(victim)), field.ids(victim)))
}

/// Ctrl-C, which finishes what is begun; started again.
pub(super) fn interrupt(field: &mut Field<'_>, victim: usize) -> anyhow::Result<Blow> {
    field.ground.servers[victim].child.interrupt()?;
    let begin = Instant::now();
    end_in_order(field, victim)?;
    let empty_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    field.ground.start_again(victim)?;
    let what = format!("Ctrl-C of server {}, which ended after {empty_ms} ms", field.id(victim));
    Ok(Blow { empty_ms: Some(empty_ms), ..Blow::away(what, field.ids(victim)) })
}

fn end_in_order(field: &mut Field<'_>, victim: usize) -> anyhow::Result<()> {
    let server = &mut field.ground.servers[victim];
    if !server.child.ends_by(Deadline::after(END_TIME)) {
        bail!("Server {} did not end within {} s of being asked to.", server.plan.id, END_TIME.as_secs());
    }
    Ok(())
}

/// SIGSTOP, and SIGCONT after this time, in milliseconds.
pub(super) fn stop(field: &Field<'_>, victim: usize, ms: u64) -> anyhow::Result<Blow> {
    let server = &field.ground.servers[victim];
    server.child.freeze()?;
    let ms = field.wait(ms);
    server.child.thaw()?;
    Ok(Blow::away(format!("stopped server {} for {ms} ms", field.id(victim)), field.ids(victim)))
}

/// `kill -9` of all, and started again after this time, in milliseconds.
pub(super) fn all_down(field: &mut Field<'_>, ms: u64) -> anyhow::Result<Blow> {
    field.ground.servers.iter_mut().for_each(|server| server.child.kill());
    let ms = field.wait(ms);
    let all = 0..field.ground.servers.len();
    for server in all.clone() {
        field.ground.start_again(server)?;
    }
    let ids = all.map(|server| field.id(server).to_owned()).collect();
    Ok(Blow::away(format!("killed all servers, and started them again after {ms} ms"), ids))
}

/// One more server.
pub(super) fn join(field: &mut Field<'_>) -> anyhow::Result<Blow> {
    field.ground.start_another()?;
    let newest = field.ground.servers.len() - 1;
    Ok(Blow::away(format!("server {} joined", field.id(newest)), field.ids(newest)))
}

/// `kill -9` of the load balancer.
pub(super) fn kill_balancer(field: &mut Field<'_>) -> anyhow::Result<Blow> {
    field.ground.balancer.kill();
    field.ground.start_balancer_again()?;
    Ok(Blow::to("killed the load balancer".to_owned(), Vec::new()))
}

/// Ctrl-C of the load balancer, which finishes what it has.
pub(super) fn end_balancer(field: &mut Field<'_>) -> anyhow::Result<Blow> {
    let balancer = &mut field.ground.balancer;
    balancer.interrupt()?;
    let asked = Instant::now();
    if !balancer.ends_by(Deadline::after(FINISH_TIME)) {
        bail!("The load balancer did not end within {} s of Ctrl-C.", FINISH_TIME.as_secs());
    }
    let ms = asked.elapsed().as_millis();
    field.ground.start_balancer_again()?;
    Ok(Blow::to(format!("ended the load balancer, which took {ms} ms"), Vec::new()))
}
