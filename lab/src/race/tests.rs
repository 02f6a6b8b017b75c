//! The pool of the program is clean in every model, every planted mistake is found, and what was found can be repeated.

use super::{
    lesson::ENOUGH,
    models::{self, Model, Version},
    play::{repeat, search},
};

/// Plays of each model in `cargo test`; CI and `lab race all --schedules N` play more.
const PLAYS: usize = 2_000;

fn seed() -> u64 {
    fastrand::u64(..)
}

fn clean(models: &[Model]) {
    for model in models {
        let seed = seed();
        let searched = search(&model.real, PLAYS, seed);
        assert_eq!(searched.failure, None, "{} with seed {seed}", model.name);
        assert_eq!(searched.plays, PLAYS);
        assert!(searched.different > 10, "{}: {} different schedules are no race", model.name, searched.different);
    }
}

fn each_planted(models: &[Model], check: impl Fn(&Model, &Version)) {
    models.iter().for_each(|model| model.planted.iter().for_each(|version| check(model, version)));
}

#[test]
fn clients_among_themselves() {
    clean(models::CLIENTS);
}

#[test]
fn servers_that_come_and_go() {
    clean(models::SERVERS);
}

#[test]
fn orders_of_people() {
    clean(models::PEOPLE);
}

#[test]
fn every_planted_mistake_is_found_and_its_schedule_repeats_it() {
    for models in [models::CLIENTS, models::SERVERS, models::PEOPLE] {
        each_planted(models, |model, version| {
            let seed = seed();
            let failure = search(version, ENOUGH, seed).failure;
            let failure = failure.unwrap_or_else(|| panic!("{}, {}: not found, seed {seed}", model.name, version.name));
            for _ in 0..2 {
                let (steps, again) = repeat(version, &failure.schedule);
                assert_eq!(again.as_ref(), Some(&failure.what), "{}, {}, seed {seed}", model.name, version.name);
                assert!(!steps.is_empty());
            }
        });
    }
}

#[test]
fn a_textbook_pool_without_a_mistake_is_clean() {
    use super::{models::textbook, planted::Mistake};
    for play in textbook() {
        let version = Version { name: "textbook", about: "", play };
        assert_eq!(search(&version, PLAYS, seed()).failure, None, "else {:?} would prove nothing", Mistake::None);
    }
}

#[test]
fn there_are_at_least_ten_models_and_five_mistakes() {
    let models: Vec<&Model> = models::all().collect();
    let mistakes = models.iter().flat_map(|model| model.planted).map(|version| version.name);
    let different: std::collections::HashSet<&str> = mistakes.collect();
    assert!(models.len() >= 10 && different.len() >= 5, "{} and {}", models.len(), different.len());
}
