//! Scenes of a ring, played by hand: who hears what, and what follows.

use super::*;
use crate::ring::reach::Side::{Left, Right};

const DRILL: Duration = Duration::from_secs(15);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn address(server: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000 + server))
}

/// A ring of three, whose servers draw what is written here.
struct Scene {
    servers: Vec<Core>,
    draws: Vec<u32>,
    now: Duration,
    told: Vec<(usize, Story)>,
}

/// Three servers that have been there for long; server 3 always draws the highest value.
fn three() -> Scene {
    let timing = Timing::of(DRILL);
    let core = |at: u16| {
        let neighbours = Sides { left: address((at + 1) % 3 + 1), right: address(at % 3 + 1) };
        Core::new(address(at), neighbours, timing, Duration::ZERO)
    };
    let mut scene =
        Scene { servers: (1..=3).map(core).collect(), draws: vec![100, 200, 300], now: timing.quiet, told: Vec::new() };
    scene.settle_down(&[1, 2, 3]);
    scene.told.clear();
    scene
}

impl Scene {
    /// Lets something happen to a server (1 to 3), and returns what it says: to whom, from which side, what.
    fn happens(&mut self, server: usize, event: Event) -> Vec<(usize, Side, Message)> {
        let value = &mut self.draws[server - 1];
        let mut draw = || {
            *value += 1;
            Value(*value)
        };
        let todo = self.servers[server - 1].step(event, self.now, &mut draw);
        let mut said = Vec::new();
        for action in todo {
            match action {
                Action::Send(Left, message) => said.push(((server + 1) % 3 + 1, Right, message)),
                Action::Send(Right, message) => said.push((server % 3 + 1, Left, message)),
                Action::Tell(story) => self.told.push((server, story)),
                Action::Down { .. } | Action::Up => {}
            }
        }
        said
    }

    /// These say what they know, until none of them has news for another.
    fn settle_down(&mut self, alive: &[usize]) {
        let mut air: Vec<_> = alive.iter().flat_map(|server| self.happens(*server, Event::Beat)).collect();
        while let Some((to, side, message)) = air.pop() {
            if alive.contains(&to) {
                air.extend(self.happens(to, Event::Came(side, message)));
            }
        }
    }

    fn starts(&mut self, server: usize, alive: &[usize]) {
        let _lost = self.happens(server, Event::Start);
        self.settle_down(alive);
    }

    /// Who has gone down so far.
    fn went(&self) -> Vec<usize> {
        let down = |(server, story): &(usize, Story)| matches!(story, Story::Down { .. }).then_some(*server);
        self.told.iter().filter_map(down).collect()
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn the_highest_is_down_and_comes_back_whoever_began() {
    for beginner in 1..=3 {
        let mut scene = three();
        scene.starts(beginner, &[1, 2, 3]);
        assert_eq!(scene.went(), [3]);
        // While it is down nobody begins.
        scene.starts(1, &[1, 2, 3]);
        assert_eq!(scene.went(), [3]);
        scene.passes(DRILL);
        scene.settle_down(&[1, 2, 3]);
        assert!(scene.servers.iter().all(|server| server.stage == Stage::Idle));
        scene.starts(2, &[1, 2, 3]);
        assert_eq!(scene.went(), [3, 3]);
    }
}

#[test]
fn two_that_begin_at_once_are_in_one_election() {
    let mut scene = three();
    let _lost = scene.happens(1, Event::Start);
    scene.starts(2, &[1, 2, 3]);
    assert_eq!(scene.went(), [3]);
    assert!(scene.told.iter().all(|(_, story)| !matches!(story, Story::GivesUp(_))));
}

#[test]
fn a_result_that_has_not_been_everywhere_puts_nobody_down() {
    let mut scene = three();
    // Nobody answers 3, and nobody is known to be dead.
    let _lost = scene.happens(3, Event::Start);
    scene.passes(seconds(4.9));
    scene.happens(3, Event::Tick);
    assert!(matches!(scene.servers[2].stage, Stage::Electing { .. }));
    scene.passes(seconds(0.2));
    scene.happens(3, Event::Tick);
    assert_eq!((scene.went(), &scene.servers[2].stage), (vec![], &Stage::Idle));
}

#[test]
fn without_one_the_others_go_on_and_without_two_nobody_does() {
    let mut scene = three();
    scene.happens(1, Event::Silent(Left));
    scene.happens(2, Event::Silent(Right));
    scene.starts(1, &[1, 2]);
    assert_eq!(scene.went(), [2]);
    scene.passes(DRILL);
    scene.settle_down(&[1, 2]);
    scene.happens(1, Event::Silent(Right));
    scene.starts(1, &[1]);
    assert_eq!(scene.went(), [2], "alone");
}

#[test]
fn a_winner_that_dies_holds_the_ring_up_until_its_promises_end() {
    let mut scene = three();
    scene.starts(1, &[1, 2, 3]);
    assert_eq!(scene.went(), [3]);
    scene.happens(1, Event::Silent(Left));
    scene.happens(2, Event::Silent(Right));
    scene.passes(seconds(18.8));
    scene.starts(1, &[1, 2]);
    assert_eq!(scene.went(), [3], "promised for 18.9 s");
    scene.passes(seconds(0.2));
    scene.starts(1, &[1, 2]);
    assert_eq!(scene.went(), [3, 2]);
}

#[test]
fn a_word_about_another_term_ends_no_promise() {
    let mut scene = three();
    scene.starts(1, &[1, 2, 3]);
    let Stage::Promised(promise) = &scene.servers[0].stage else { panic!("no promise") };
    let other = [
        Nominee { round: promise.to.round + 1, ..promise.to },
        Nominee { value: Value(7), ..promise.to },
        Nominee { address: address(2), ..promise.to },
    ];
    for nominee in other {
        scene.happens(1, Event::Came(Right, Message { kind: Kind::Up, nominee, end: None }));
        assert!(matches!(scene.servers[0].stage, Stage::Promised(_)), "{nominee:?}");
    }
}

#[test]
fn who_was_just_started_promises_nothing() {
    let mut scene = three();
    let neighbours = Sides { left: address(1), right: address(3) };
    scene.servers[1] = Core::new(address(2), neighbours, Timing::of(DRILL), scene.now);
    let result = Message {
        kind: Kind::Result { drill: DRILL },
        nominee: Nominee { round: 1, value: Value(1), address: address(1) },
        end: None,
    };
    assert_eq!(scene.happens(2, Event::Came(Left, result)), []);
    assert!(matches!(scene.servers[1].stage, Stage::Quiet { .. }));
    scene.passes(seconds(18.9));
    assert_ne!(scene.happens(2, Event::Came(Left, result)), []);
}

#[test]
fn who_wants_to_be_down_for_longer_is_refused() {
    let mut scene = three();
    let result = Message {
        kind: Kind::Result { drill: DRILL + seconds(0.001) },
        nominee: Nominee { round: 1, value: Value(1), address: address(1) },
        end: None,
    };
    scene.happens(2, Event::Came(Left, result));
    assert_eq!(scene.servers[1].stage, Stage::Idle);
    assert!(scene.told.iter().any(|(_, story)| matches!(story, Story::TooLong { .. })));
}
