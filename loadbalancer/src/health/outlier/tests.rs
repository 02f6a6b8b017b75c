//! Each rule of the ejection, by itself.

use super::*;

const NEVER: Duration = Duration::ZERO;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rules(text: &str) -> Rules {
    text.parse().unwrap()
}

/// The suspicions after each of these ends: `x` failed, `.` answered, `c` cancelled.
fn suspicions(server: &mut Observed, rules: &Rules, ends: &str, now: Duration) -> Vec<bool> {
    let end = |end| match end {
        'x' => Ended::Failed,
        '.' => Ended::Answered,
        'c' => Ended::Cancelled,
        other => panic!("{other} is no end"),
    };
    ends.chars().map(end).map(|ended| server.note(ended, ms(1), now, None, rules).is_some()).collect()
}

#[test]
fn failures_in_a_row_count_and_an_answer_ends_the_row() {
    let rules = rules("errors 3");
    let seen = |ends| suspicions(&mut Observed::default(), &rules, ends, NEVER);
    assert_eq!(seen("xx.xx.xx"), [false; 8]);
    assert_eq!(seen("xxx"), [false, false, true]);
    assert_eq!(seen("xxcx"), [false, false, false, true], "a request taken back says nothing");
    assert_eq!(seen("xxxx"), [false, false, true, true], "said again, in case nobody could be ejected");
}

#[test]
fn what_is_switched_off_sees_nothing() {
    for off in [Rules::off(), rules("off"), rules("errors 0")] {
        assert!(off.is_off());
        assert_eq!(suspicions(&mut Observed::default(), &off, "xxxxxxxx", NEVER), [false; 8]);
    }
    assert!(!Rules::default().is_off());
}

#[test]
fn each_ejection_in_a_row_takes_longer_up_to_the_longest() {
    let rules = rules("errors 1 for 5s longest 12s");
    let mut server = Observed::default();
    let mut now = NEVER;
    let lasting = [(); 4].map(|()| {
        let lasting = server.eject(now, &rules);
        now += lasting;
        assert!(server.returns(now));
        lasting.as_secs()
    });
    assert_eq!(lasting, [5, 10, 12, 12]);
}

#[test]
fn staying_in_is_forgiven_step_by_step() {
    let rules = rules("for 5s");
    let after_staying_in = |millis: u64| {
        let mut server = Observed::default();
        server.eject(NEVER, &rules);
        server.eject(ms(5_000), &rules);
        server.eject(ms(15_000 + millis), &rules).as_secs()
    };
    // Out twice in a row: the third time would take 15 s.
    assert_eq!([0, 4_999, 5_000, 10_000, 1_000_000].map(after_staying_in), [15, 15, 10, 5, 5]);
}

#[test]
fn an_ejection_ends_once() {
    let mut server = Observed::default();
    assert!(!server.returns(ms(9)), "it was never out");
    assert_eq!(server.eject(ms(100), &Rules::default()), ms(5_000));
    assert!(server.is_ejected(ms(5_099)) && !server.returns(ms(5_099)));
    assert!(!server.is_ejected(ms(5_100)));
    assert_eq!(server.ejected_until(), Some(ms(5_100)), "its return has not been told");
    assert!(server.returns(ms(5_100)));
    assert!(!server.returns(ms(5_100)) && server.ejected_until().is_none());
}

#[test]
fn a_pardon_ends_it_at_once_and_the_next_ejection_is_still_longer() {
    let rules = Rules::default();
    let mut server = Observed::default();
    assert!(!server.pardon(NEVER));
    server.eject(NEVER, &rules);
    assert!(server.pardon(ms(1_000)));
    assert!(!server.is_ejected(ms(1_000)) && !server.returns(ms(60_000)));
    assert_eq!(server.eject(ms(2_000), &rules), ms(10_000));
}

#[test]
fn what_ends_while_it_is_out_is_not_held_against_it() {
    let rules = rules("errors 3");
    let mut server = Observed::default();
    let until = server.eject(NEVER, &rules);
    assert_eq!(suspicions(&mut server, &rules, "xxxxx", ms(1)), [false; 5]);
    assert!(server.returns(until));
    assert_eq!(suspicions(&mut server, &rules, "xx", until), [false; 2], "it is judged anew");
    assert_eq!(suspicions(&mut server, &rules, "x", until), [true]);
}

/// The answer number from which on a server that takes so long is too slow among others that take 100 ms.
fn too_slow_at(rules: &Rules, server: &mut Observed, took: Duration) -> Option<usize> {
    (1..=100).find(|_| server.note(Ended::Answered, took, NEVER, Some(ms(100)), rules).is_some())
}

#[test]
fn who_is_much_slower_than_the_others_is_found_after_enough_answers() {
    let five = rules("slower-than 5x");
    assert_eq!(too_slow_at(&five, &mut Observed::default(), ms(501)), Some(ENOUGH as usize));
    assert_eq!(too_slow_at(&five, &mut Observed::default(), ms(500)), None, "more than five times");
    assert_eq!(too_slow_at(&Rules::default(), &mut Observed::default(), ms(9_000)), None, "not asked for");
    let mut turning = Observed::default();
    assert!((0..50).all(|_| turning.note(Ended::Answered, ms(100), NEVER, Some(ms(100)), &five).is_none()));
    assert_eq!(turning.average(), Some(ms(100)));
    // 100 + 900 × (1 − (7/8)^n) passes 500 with n = 5.
    assert_eq!(too_slow_at(&five, &mut turning, ms(1_000)), Some(5), "one slow answer is no slow server");
}

#[test]
fn a_few_milliseconds_are_never_slow_and_without_others_nobody_is() {
    let five = rules("slower-than 5x");
    let mut server = Observed::default();
    assert!((0..50).all(|_| server.note(Ended::Answered, ms(9), NEVER, Some(ms(1)), &five).is_none()));
    assert!((0..50).all(|_| server.note(Ended::Answered, ms(900), NEVER, None, &five).is_none()));
}

#[test]
fn never_more_than_half_and_never_the_last_one() {
    let most = |rules: &Rules, servers| (0..).find(|ejected| !may_eject(*ejected, servers, rules)).unwrap();
    let half = Rules::default();
    assert_eq!([0, 1, 2, 3, 4, 5, 10, 1_000].map(|servers| most(&half, servers)), [0, 0, 1, 1, 2, 2, 5, 500]);
    let tenth = rules("at-most 10%");
    assert_eq!([1, 2, 5, 19, 20, 100].map(|servers| most(&tenth, servers)), [0, 1, 1, 1, 2, 10]);
    let all = Rules { most_percent: 100, ..half };
    assert_eq!([1, 2, 3].map(|servers| most(&all, servers)), [0, 1, 1], "half is the most, whatever the rules say");
}

/// Servers that take so many milliseconds, each with enough answers.
fn servers(taking: &[u64]) -> Vec<Observed> {
    let after_answers = |millis: &u64| {
        let mut server = Observed::default();
        (0..ENOUGH).for_each(|_| server.smooth(ms(*millis)));
        server
    };
    taking.iter().map(after_answers).collect()
}

#[test]
fn usual_is_what_the_middle_one_takes() {
    let usual = |taking| usual_time(&servers(taking), &rules("slower-than 5x"));
    assert_eq!(usual(&[]), None);
    assert_eq!(usual(&[7]), Some(ms(7)));
    assert_eq!(usual(&[9_000, 1, 2]), Some(ms(2)), "one slow server does not make slowness usual");
    assert_eq!(usual(&[4, 3, 2, 1]), Some(ms(2)));
    assert_eq!(usual_time(&servers(&[7]), &Rules::default()), None, "not asked for");
    assert_eq!(usual_time(&[Observed::default()], &rules("slower-than 5x")), None, "nothing is known of it");
}

#[test]
fn the_rules_can_be_written_and_read() {
    assert_eq!(rules("errors 5 for 5s at-most 50%"), Rules::default());
    let all =
        Rules { consecutive_errors: 2, base: ms(500), longest: ms(90_000), most_percent: 20, slow_factor: Some(5) };
    assert_eq!(rules("slower-than 5x at-most 20% errors 2 longest 90s for 500ms"), all);
    assert_eq!(rules("for 2m").longest, ms(120_000), "longer than the default longest");
    for rules in [Rules::default(), Rules::off(), all] {
        assert_eq!(rules.to_string().parse(), Ok(rules), "{rules}");
    }
    assert_eq!(Rules::default().to_string(), "errors 5 for 5s longest 60s at-most 50%");
}

#[test]
fn wrong_rules_are_explained() {
    for (text, words) in [
        ("errors many", "from 0 to 10000"),
        ("at-most 51%", "from 1% to 50%"),
        ("at-most 0%", "from 1% to 50%"),
        ("slower-than 1x", "from 2x to 10000x"),
        ("for 0s", "The value of 'for' is wrong"),
        ("for 5s longest 4s", "'longest 4s' is shorter than 'for 5s'"),
        ("on", "'off' alone ejects nobody"),
        ("errors 5 off", "'off' is not understood here"),
        ("errors", "'errors' has no value"),
        ("", "It is empty"),
    ] {
        let refused = text.parse::<Rules>().unwrap_err();
        assert!(refused.contains(words), "{text}: {refused}");
    }
}

#[test]
fn reasons_are_sentences() {
    let failing =
        |text| Observed { in_a_row: 4, ..Observed::default() }.note(Ended::Failed, NEVER, NEVER, None, &rules(text));
    assert_eq!(failing("errors 5").unwrap(), "5 requests to it failed in a row.");
    let once = Observed::default().note(Ended::Failed, NEVER, NEVER, None, &rules("errors 1"));
    assert_eq!(once.unwrap(), "a request to it failed.");
    let slow = servers(&[620]).remove(0).note(Ended::Answered, ms(620), NEVER, Some(ms(100)), &rules("slower-than 5x"));
    assert_eq!(slow.unwrap(), "it takes 620ms to answer, more than 5 times what the others take (100ms).");
}
