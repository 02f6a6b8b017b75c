//! `lab race` and `lab simulate`, as people see them: what went wrong can be repeated with the command that is printed.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(feature = "race")]

mod kit;

use kit::World;

/// What the program says, and whether it ended well.
fn said(args: &[&str]) -> (String, bool) {
    let output = World::new().command(args).output().unwrap();
    (kit::text(&output.stdout) + &kit::text(&output.stderr), output.status.success())
}

#[test]
fn the_race_of_the_coursework_is_shown_and_repeated_as_it_is_printed() {
    let (lesson, good) = said(&["race", "--schedules", "300"]);
    assert!(good, "{lesson}");
    let wrong = lesson.lines().find(|line| line.contains("WRONG:")).unwrap().trim();
    assert!(wrong.contains("have server 1 at the same time"), "{lesson}");
    assert!(lesson.contains("In none of them was anything wrong."), "{lesson}");
    let (_, command) = lesson.split_once("The same again: lab ").unwrap();
    let command: Vec<&str> = command.lines().next().unwrap().split_whitespace().collect();
    let (again, _) = said(&command);
    assert!(again.contains(wrong), "{lesson}\nbut again:\n{again}");
    let schedule = command.last().unwrap();
    let (real, _) = said(&["race", "two-clients", "--version", "real", "--replay", schedule]);
    assert!(real.contains("Nothing was wrong."), "{real}");
}

#[test]
fn what_is_not_there_is_explained() {
    for (args, words) in [
        (&["race", "three-servers"][..], "There is no model 'three-servers'. There are: two-clients, "),
        (&["race", "--replay", "10x"], "is not a schedule"),
        (&["race", "--replay", "9"], "There is no thread 9 in two-clients, "),
        (&["race", "two-clients", "--replay", "12", "--version", "wrong"], "has no version 'wrong'"),
        (&["race", "--schedules", "0"], "--schedules"),
        (&["simulate", "--policy", "strongest"], "power-of-two"),
    ] {
        let (text, good) = said(args);
        assert!(!good && text.contains(words), "{args:?}: {text}");
    }
}

#[test]
fn a_simulation_is_the_same_with_the_same_seed() {
    let day = || said(&["simulate", "--policy", "random", "--steps", "3000", "--seed", "5"]).0;
    let counts = |text: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with("random")).unwrap();
        // The third column is how fast it went.
        line.split_whitespace().enumerate().filter(|(at, _)| *at != 2).map(|(_, word)| word.to_owned()).collect()
    };
    assert_eq!(counts(&day()), counts(&day()));
}
