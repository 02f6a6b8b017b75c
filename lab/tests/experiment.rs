//! `lab experiment`: what is exact is exact, everything that a run depends on is written down, and plots are pictures.
//! No time is judged here: the machine may be busy.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{World, text};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Output};

/// Runs an experiment in a folder of its own.
fn experiment(world: &World, args: &[&str]) -> (Output, String) {
    let output = world.command(&[&["experiment"], args].concat()).output().unwrap();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    (output, said)
}

/// The folder of the only run.
fn run_folder(world: &World, name: &str) -> PathBuf {
    let found: Vec<PathBuf> = fs::read_dir(world.path("runs")).unwrap().flatten().map(|entry| entry.path()).collect();
    let begin = format!("experiment-{name}-");
    let is_run = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&begin);
    found.iter().find(is_run).unwrap_or_else(|| panic!("no run of {name} in {found:?}")).clone()
}

fn samples(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Well-formed: every element that begins ends, in order, and the text is escaped. Returns all that is written in it.
fn svg_texts(svg: &str) -> Vec<String> {
    assert!(svg.trim_start().starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag that does not end");
        let name = tag.split([' ', '\n', '/']).next().unwrap();
        if let Some(ended) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(ended.trim()), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(!text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").contains('&'), "{text}");
        if open.last() == Some(&"text") {
            texts.push(text.trim().to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    texts
}

#[test]
fn the_experiments_are_listed_and_one_must_be_named() {
    let world = World::new();
    let (output, said) = experiment(&world, &["--list"]);
    assert!(output.status.success() && said.contains("shares"), "{said}");
    let (output, said) = experiment(&world, &[]);
    assert!(output.status.code() == Some(2) && said.contains("--list"), "{said}");
    let (output, said) = experiment(&world, &["shares", "--only", "fastest"]);
    assert!(output.status.code() == Some(2) && said.contains("no policy") && said.contains("round-robin"), "{said}");
}

/// No server is ever full, so both rules hold to the request, and both sides count alike.
#[test]
fn policies_that_go_by_turns_share_out_exactly() {
    let world = World::new();
    let policies = "round-robin,weighted-round-robin,power";
    let args = ["shares", "--requests", "602", "--time", "1ms", "--load", "light", "--only", policies, "--seed", "5"];
    let (output, said) = experiment(&world, &args);
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "shares");
    let samples = samples(&folder.join("samples.jsonl"));
    let answers: Vec<Vec<u64>> =
        samples.iter().map(|sample| serde_json::from_value(sample["answers"].clone()).unwrap()).collect();
    // 602 = 86 × 7: by weights of 4 : 2 : 1 exactly 344, 172 and 86.
    assert_eq!(answers, [vec![201, 201, 200], vec![344, 172, 86], vec![602, 0, 0]], "{said}");
    assert!(samples.iter().all(|sample| sample["answers"] == sample["counted"] && sample["errors"] == 0), "{said}");
    assert!(said.contains("exactly, to the request: [344, 172, 86]"), "{said}");

    let texts = svg_texts(&fs::read_to_string(folder.join("shares-light.svg")).unwrap());
    for words in ["round-robin", "weighted-round-robin", "power", "57.1", "server 1, the strongest"] {
        assert!(texts.iter().any(|text| text == words), "{words} is missing in {texts:?}");
    }
    let told = fs::read_to_string(folder.join("results.md")).unwrap();
    assert!(told.contains("| weighted-round-robin ") && told.contains("57.14"), "{told}");
}

/// A policy that looks at load is measured several times, and every round is kept.
#[test]
fn policies_that_look_at_load_have_rounds_and_the_simulation_beside_them() {
    let world = World::new();
    let args =
        ["shares", "--requests", "40", "--time", "1ms", "--load", "light", "--only", "least-time", "--rounds", "2"];
    // Whether so few requests are within a point is up to chance.
    let (_, said) = experiment(&world, &args);
    let folder = run_folder(&world, "shares");
    let samples = samples(&folder.join("samples.jsonl"));
    assert_eq!(samples.len(), 2, "{said}");
    for sample in samples {
        assert_eq!(sample["theory"]["by"], "simulation");
        let shares: Vec<f64> = serde_json::from_value(sample["theory"]["shares"].clone()).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
    }
    assert!(said.contains("`least-time` in 2 rounds, points from theory: "), "{said}");
}

/// Everything that repeats the run is in its manifest, and the command that it names is understood.
#[test]
fn a_manifest_is_complete_and_its_command_repeats_the_run() {
    let world = World::new();
    let args = ["shares", "--requests", "30", "--time", "0.5ms", "--load", "light", "--only", "round-robin"];
    let (output, said) = experiment(&world, &args);
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "shares");
    let manifest: Value = serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    let text_of = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {manifest:#}")).to_owned();
    assert_eq!(text_of(&manifest["experiment"]), "shares");
    assert!(manifest["commit"].is_string() && manifest["dirty"].is_boolean() && manifest["seed"].as_u64().is_some());
    assert!(manifest["machine"]["cores"].as_u64().unwrap() > 0 && manifest["versions"]["lab"].is_string());
    assert!(text_of(&manifest["started"]) <= text_of(&manifest["ended"]), "{manifest:#}");
    assert_eq!(manifest["parameters"]["requests"], 30);
    let command = text_of(&manifest["command"]);
    assert!(command.contains(&format!("--seed {}", manifest["seed"])), "{command}");

    let again = World::new();
    let (_, flags) = command.split_once("experiment ").unwrap();
    let (output, said) = experiment(&again, &flags.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{said}");
    let (first, second) =
        (samples(&folder.join("samples.jsonl")), samples(&run_folder(&again, "shares").join("samples.jsonl")));
    assert_eq!(first[0]["answers"], second[0]["answers"]);
}

/// Tables, raw data and plots of a short run; of the figures only what cannot be otherwise, however busy the machine is.
#[test]
fn the_tail_has_its_price_beside_it() {
    let world = World::new();
    let only = "round-robin,round-robin + duplicate 2";
    let args = ["tail", "--rounds", "1", "--duration", "500ms", "--rate", "200", "--time", "2ms", "--only", only];
    let (output, said) = experiment(&world, &args);
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "tail");
    let samples = samples(&folder.join("samples.jsonl"));
    let of = |variant: &str, what: &str| {
        let sample = samples.iter().find(|sample| sample["variant"] == variant).unwrap();
        sample[what].as_f64().unwrap()
    };
    // Turns are counted over the whole run, answers only after the warm-up.
    assert!((0.15..0.25).contains(&of("round-robin", "slow_share")), "{said}");
    assert!(of("round-robin", "copies").abs() < 1e-9, "{said}");
    assert!((of("round-robin + duplicate 2", "copies") - 1.0).abs() < 0.01, "{said}");
    // Nobody is faster than his processing time.
    assert!(samples.iter().all(|sample| sample["latency_us"]["min"].as_f64().unwrap() >= 2_000.0), "{said}");

    let told = fs::read_to_string(folder.join("results.md")).unwrap();
    assert!(told.contains("| round-robin + duplicate 2 ") && told.contains("copies for 100 requests"), "{told}");
    let texts = |file: &str| svg_texts(&fs::read_to_string(folder.join(file)).unwrap());
    let (curves, price) = (texts("tail-curves.svg"), texts("tail-price.svg"));
    assert!(
        curves.iter().any(|text| text == "1 % (p99)") && curves.iter().any(|text| text == "round-robin"),
        "{curves:?}"
    );
    assert!(price.iter().any(|text| text == "p99 in ms"), "{price:?}");
    let simulated = fs::read_to_string(folder.join("simulated.jsonl")).unwrap();
    assert_eq!(simulated.lines().count(), 2);
}

/// What the ring says of servers 1, 2 and 3 is exact, what is answered is near it, and bounded load never holds too much.
#[test]
fn the_ring_of_the_coursework_gives_server_1_nearly_everything() {
    let world = World::new();
    let args = ["hashing-a1", "--requests", "400", "--clients", "20", "--time", "2ms", "--seed", "3"];
    let (output, said) = experiment(&world, &args);
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "hashing-a1");
    let samples = samples(&folder.join("samples.jsonl"));
    assert_eq!(samples.len(), 5, "{said}");
    let answers = |sample: &Value| -> Vec<u64> { serde_json::from_value(sample["answers"].clone()).unwrap() };
    assert!(samples.iter().all(|sample| answers(sample).iter().sum::<u64>() == 400 && sample["errors"] == 0), "{said}");
    assert_eq!(samples[0]["servers"], serde_json::json!(["1", "2", "3"]));
    let expected: Vec<f64> = serde_json::from_value(samples[0]["expected"].clone()).unwrap();
    assert!((expected[0] - 432.0 / 512.0).abs() < 1e-12, "84 %: {expected:?}");
    // 400 × 84.4 % is 337.5, of which the standard deviation is 7.3.
    assert!(answers(&samples[0])[0].abs_diff(337) < 37, "{said}");
    for bounded in samples.iter().filter(|sample| sample["ring"].as_str().unwrap().contains("bound")) {
        assert!(bounded["expected"].is_null() && bounded["held"]["choices"].as_u64().unwrap() > 0, "{bounded:#}");
        assert_eq!(bounded["held"]["over"], 0, "{bounded:#}");
    }
    let texts = svg_texts(&fs::read_to_string(folder.join("hashing-a1.svg")).unwrap());
    assert!(texts.iter().any(|text| text == "equal shares") && texts.iter().any(|text| text == "H and Φ"), "{texts:?}");
}

/// Up and down again: every step has its servers, and the same servers on the way down as on the way up.
#[test]
fn servers_come_and_go_on_the_ring() {
    let world = World::new();
    let args = ["hashing-a2", "--requests", "120", "--clients", "8", "--time", "0ms", "--seed", "3"];
    let (output, said) = experiment(&world, &args);
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "hashing-a2");
    let samples = samples(&folder.join("samples.jsonl"));
    assert_eq!(samples.len(), 4 * 9, "{said}");
    for journey in samples.chunks(9) {
        let counts: Vec<usize> = journey.iter().map(|sample| sample["servers"].as_array().unwrap().len()).collect();
        assert_eq!(counts, [2, 3, 4, 5, 6, 5, 4, 3, 2], "{said}");
        for (up, down) in journey.iter().zip(journey.iter().rev()) {
            assert_eq!((&up["servers"], &up["expected"]), (&down["servers"], &down["expected"]));
        }
    }
    for (file, what) in [("busiest", "Busiest ÷ mean as"), ("deviation", "Standard deviation ÷ mean as")] {
        let texts = svg_texts(&fs::read_to_string(folder.join(format!("hashing-a2-{file}.svg"))).unwrap());
        assert!(texts.iter().any(|text| text.starts_with(what)), "{texts:?}");
    }
}

/// Every ring is computed; one of them is asked, too.
#[test]
fn rings_are_compared_over_many_placements() {
    let world = World::new();
    let args = ["hashing-a4", "--placements", "40", "--only", "xxh3 K=150"];
    let setting = ["--requests", "120", "--clients", "8", "--time", "0ms", "--seed", "3"];
    let (output, said) = experiment(&world, &[&args[..], &setting].concat());
    assert!(output.status.success(), "{said}");
    let folder = run_folder(&world, "hashing-a4");
    let computed = samples(&folder.join("placements.jsonl"));
    assert_eq!(computed.len(), 10, "{said}");
    let median = |ring: &str, n: usize| {
        let one = computed.iter().find(|one| one["ring"] == ring).unwrap();
        one["bands"][n - 2]["median"].as_f64().unwrap()
    };
    // Forty placements are enough to tell these apart.
    assert!(median("H and Φ", 3) > 1.4 && median("xxh3 K=9 M=65537", 6) > 1.3, "{said}");
    assert!(median("xxh3 K=150", 6) < 1.2 && median("xxh3 K=150 bound 1.25", 6) < 1.2, "{said}");
    assert!(said.contains("server 1 gets 95, 84, 82, 80, 79 %"), "{said}");
    assert_eq!(samples(&folder.join("samples.jsonl")).len(), 9);
    for file in ["hashing-a4-placements.svg", "hashing-a4-three.svg", "hashing-a4-busiest.svg"] {
        svg_texts(&fs::read_to_string(folder.join(file)).unwrap());
    }
    let (output, said) = experiment(&world, &["hashing-a4", "--placements", "1", "--only", "none such"]);
    assert!(output.status.code() == Some(1) && said.contains("No ring is called so"), "{said}");
}

/// Figures of a debug build do not belong into the documentation.
#[test]
#[cfg(debug_assertions)]
fn a_debug_build_writes_no_results() {
    let (output, said) = experiment(&World::new(), &["shares", "--requests", "10", "--write-results"]);
    assert!(output.status.code() == Some(1) && said.contains("debug build"), "{said}");
}

/// Who asks both finds every name whatever the machine does; who asks one of two that share the names finds what that one knows.
#[test]
fn two_name_servers_are_asked_in_every_way_and_all_is_written_down() {
    let world = World::new();
    let args = [
        "names",
        "--rounds",
        "1",
        "--duration",
        "400ms",
        "--rate",
        "50",
        "--timeout",
        "4s",
        "--time",
        "1ms",
        "--seed",
        "3",
    ];
    let short = ["--slow", "20ms", "--second", "100ms"];
    let (output, said) = experiment(&world, &[&args[..], &short].concat());
    let folder = run_folder(&world, "names");
    let samples = samples(&folder.join("samples.jsonl"));
    assert_eq!(samples.len(), 24, "four situations, six ways: {said}");
    let of = |situation: &str, variant: &str| {
        let is = |sample: &&Value| sample["situation"] == situation && sample["variant"] == variant;
        samples.iter().find(is).unwrap_or_else(|| panic!("no {situation} {variant} in {said}"))
    };
    for situation in ["well", "slow", "silent", "disjoint"] {
        // Some twenty queries: on a machine that stands still for seconds one of them may be late.
        let most = |variant: &str, figure: &str| of(situation, variant)[figure].as_f64().unwrap() > 0.8;
        assert!(most("duplicate all", "found") && most("duplicate all", "extra"), "{said}");
        assert!(most("one, then the other", "found"), "{said}");
        for picture in [format!("names-{situation}.svg"), format!("names-{situation}-price.svg")] {
            let texts = svg_texts(&fs::read_to_string(folder.join(picture)).unwrap());
            assert!(texts.iter().any(|text| text == "duplicate all"), "{texts:?}");
        }
    }
    assert!(output.status.code().is_some_and(|code| code <= 1) && said.contains("170–255"), "{said}");
    for file in ["manifest.json", "results.md"] {
        assert!(folder.join(file).exists(), "{file}");
    }
}
