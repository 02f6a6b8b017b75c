//! Which errors clients may be told, and whether they were told others.

use super::{Blow, Check, Errors, Tally};
use crate::drill::tally::Refusal;
use protocol::message::ErrorCode;

/// How long a request may wait for a server when none lives, in milliseconds: three seconds, at which is looked every half
/// second; and before that, it may have tried those that it believed to live.
const NO_SERVER_MS: u64 = 4_000;
/// How long before or after a blow a failure still comes of it, in milliseconds: what was under way is tried at other
/// servers first, and a failure is on its way for a moment.
const AROUND_MS: u64 = 500;

pub(super) fn check(allowed: Errors, tally: &Tally, blows: &[Blow]) -> Check {
    let sum =
        |end: &str| tally.errors.iter().filter(|(what, _)| what.ends_with(end)).map(|(_, count)| count).sum::<u64>();
    let (definite, open) = (sum("(definite)"), sum("(outcome unknown)"));
    let only = |fine: &dyn Fn(&Refusal) -> bool| {
        let told: u64 = tally.refusals.iter().filter(|refusal| fine(refusal)).count() as u64;
        told == tally.errors()
    };
    let mut in_time = true;
    let good = match allowed {
        Errors::Never => tally.errors() == 0,
        Errors::OpenPastDeadline => definite == 0 && tally.indefinite_early == 0,
        Errors::Open => definite == 0,
        Errors::ButNoMixture => true,
        Errors::NoServer => {
            in_time = only(&|refusal| no_server(refusal, blows) && soon(refusal, blows));
            only(&|refusal| no_server(refusal, blows))
        }
        Errors::NoRoom => open == 0 && only(&|told| told.code == ErrorCode::Busy && told.come_again),
        Errors::Ending => {
            let told = |told: &&Refusal| told.definite && told.code == ErrorCode::Draining;
            let met_the_end = sum("connection lost (outcome unknown)");
            tally.refusals.iter().filter(told).count() as u64 + met_the_end == tally.errors()
        }
    };
    let found = format!("{} of {} requests answered, errors: {}", tally.answered, tally.asked, tally.shown_errors());
    Check::soon(allowed.sentence(), found, good, in_time)
}

/// Whether this was told because no server lived.
fn no_server(told: &Refusal, blows: &[Blow]) -> bool {
    let right =
        if told.definite { told.code == ErrorCode::Unavailable } else { told.code == ErrorCode::UnknownOutcome };
    right && blows.iter().any(|blow| told.at_us >= blow.from_us && told.since_us <= blow.until_us)
}

/// Whether this was told in time: soon after it was asked, and not long after the servers were there again.
fn soon(told: &Refusal, blows: &[Blow]) -> bool {
    let around = AROUND_MS * 1000;
    let during = |blow: &Blow| {
        told.at_us >= blow.from_us && told.since_us <= blow.until_us && told.at_us <= blow.until_us + around
    };
    told.took_ms() <= NO_SERVER_MS && blows.iter().any(during)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::question::Question;
    use protocol::message::Failure;

    const ALL: [Errors; 7] = [
        Errors::Never,
        Errors::OpenPastDeadline,
        Errors::Open,
        Errors::ButNoMixture,
        Errors::NoServer,
        Errors::NoRoom,
        Errors::Ending,
    ];

    fn good(tally: &Tally) -> [bool; 7] {
        ALL.map(|allowed| check(allowed, tally, &[]).good)
    }

    fn write() -> Question {
        Question::Write { token: "a".to_owned(), returning: false }
    }

    #[test]
    fn errors_are_allowed_as_far_as_the_scene_says() {
        let mut tally = Tally::default();
        assert_eq!(good(&tally), [true; 7]);
        tally.lost(&write(), "gone");
        assert_eq!(good(&tally), [false, true, true, true, false, false, true]);
        tally.indefinite_early = 1;
        assert_eq!(good(&tally), [false, false, true, true, false, false, true]);
        tally.failed(&write(), &Failure::definite(ErrorCode::Timeout, "Late."), 0);
        assert_eq!(good(&tally), [false, false, false, true, false, false, false]);
    }

    #[test]
    fn no_room_is_told_for_certain_and_with_a_time_to_come_again() {
        let mut tally = Tally::default();
        tally.failed(&write(), &Failure::definite(ErrorCode::Busy, "Full.").retry_after_ms(1_000), 0);
        assert!(check(Errors::NoRoom, &tally, &[]).good);
        tally.failed(&write(), &Failure::definite(ErrorCode::Busy, "Full."), 0);
        assert!(!check(Errors::NoRoom, &tally, &[]).good);
    }

    #[test]
    fn that_no_server_lives_may_be_told_while_none_does_and_in_time() {
        let (definite, come_again) = (true, true);
        let told = |since_ms: u64, at_ms: u64, code| {
            let refusal = Refusal { since_us: since_ms * 1000, at_us: at_ms * 1000, code, definite, come_again };
            let blows = [Blow { from_us: 10_000_000, until_us: 14_000_000, ..Blow::default() }];
            (no_server(&refusal, &blows), soon(&refusal, &blows))
        };
        assert_eq!(told(10_100, 13_200, ErrorCode::Unavailable), (true, true));
        assert!(!told(10_100, 13_200, ErrorCode::Busy).0, "another error");
        assert_eq!(told(9_000, 13_200, ErrorCode::Unavailable), (true, false), "too late");
        assert!(!told(9_000, 9_500, ErrorCode::Unavailable).0, "before");
        assert_eq!(told(13_900, 14_700, ErrorCode::Unavailable), (true, false), "servers are back");
        assert!(!told(14_100, 14_700, ErrorCode::Unavailable).0, "asked when they were back");
    }
}
