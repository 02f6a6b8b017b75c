//! `lab simulate`: rough days in the simulation, under every policy, as many steps as one likes.
//!
//! What is simulated, what is real in it and what is checked after each step, is told in
//! [`loadbalancer::simulation`]. A run that breaks a rule names its seed and its step, and the same seed repeats it.

use clap::{Args, ValueEnum as _};
use loadbalancer::{
    policy::Name,
    simulation::{Outcome, Scenario, Simulation},
};
use protocol::output::show;
use std::{process::ExitCode, time::Instant};

/// Options of `lab simulate`.
#[derive(Args, Debug)]
pub struct Simulate {
    /// How many steps each policy is run for
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// What the day is made of: servers, faults, and all chance [default: drawn, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only this policy [default: all of them]
    #[arg(long, value_enum, value_name = "POLICY")]
    policy: Option<Name>,
}

/// Simulates, and prints what came out.
///
/// # Errors
/// None.
pub fn run(simulate: &Simulate) -> anyhow::Result<ExitCode> {
    let seed = simulate.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    show!("A rough day: five servers, 24 clients, and something that goes wrong twice a second. (seed {seed})\n");
    show!(
        "{:<22} {:>9} {:>9} {:>8} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>9}",
        "policy",
        "steps",
        "steps/s",
        "hours",
        "requests",
        "answered",
        "refused",
        "failed",
        "retries",
        "copies",
        "p99 ms"
    );
    let policies = simulate.policy.map_or_else(|| Name::value_variants().to_vec(), |policy| vec![policy]);
    let mut good = true;
    for policy in policies {
        let since = Instant::now();
        let outcome = Simulation::new(Scenario::rough(policy, seed)).run_steps(simulate.steps);
        good &= line(policy, &outcome, since.elapsed().as_secs_f64());
        if let Some(violation) = &outcome.violation {
            show!("  WRONG in step {}, at {:.3?}: {}.", violation.step, violation.at, violation.what);
            show!("  The same again: lab simulate --policy {policy} --seed {seed} --steps {}", simulate.steps);
        }
    }
    if good {
        show!("\nAfter each step all rules held. (Now and then another policy chose for a moment.)");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(policy: Name, outcome: &Outcome, seconds: f64) -> bool {
    let Outcome { steps, requests, answered, refused, failed, retries, copies, .. } = outcome;
    let (rate, hours) = (*steps as f64 / seconds, outcome.lasted.as_secs_f64() / 3_600.0);
    let p99 = outcome.latencies.percentile(0.99).as_secs_f64() * 1_000.0;
    show!(
        "{:<22} {steps:>9} {rate:>9.0} {hours:>8.3} {requests:>9} {answered:>9} {refused:>7} {failed:>7} {retries:>7} \
         {copies:>7} {p99:>9.1}",
        policy.to_string()
    );
    outcome.violation.is_none()
}
