//! What was found, as tables and plots.

use super::{
    Measured, Names, Sample, quantile,
    theory::{Drawn, draw},
    variant::Situation,
};
use crate::{
    experiment::{
        Run,
        plot::{Bar, Curve, Curves, Panel, Panels},
    },
    record::{Spread, median, table},
};

impl Measured {
    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of).collect()).unwrap_or(f64::NAN)
    }

    fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<(f64, f64)> {
        let samples: Vec<f64> = self.samples.iter().map(of).collect();
        Spread::of(&samples).map(|spread| (spread.min, spread.max))
    }

    /// What each query of all rounds took.
    fn each(&self) -> Vec<f64> {
        let mut each: Vec<f64> = self.samples.iter().flat_map(|sample| sample.each_ms.iter().copied()).collect();
        each.sort_by(f64::total_cmp);
        each
    }
}

/// Where something is certain whatever the machine does: who asks both finds every name; who asks one of two that share
/// the names finds about half.
pub fn is_right(measured: &[Measured]) -> bool {
    measured.iter().all(|one| match (one.situation, one.variant.name) {
        (_, "duplicate all") => one.samples.iter().all(|sample| sample.found > 0.99),
        (Situation::Disjoint, "one") => one.samples.iter().all(|sample| sample.found < 0.75),
        _ => true,
    })
}

/// What is told.
pub fn text(names: &Names, measured: &[Measured], seed: u64) -> String {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let mut text = format!(
        "Two name servers of {} ms; {} queries a second, coming at random, for {} s; {} rounds in turn, medians; the load \
         balancer gives up after {} ms. *One, then the other*: after {} ms; *hedge at a time*: after {} ms. In brackets what \
         theory says: the smaller of two times that are drawn from what one server alone takes. The coursework's original, with \
         50 clients at once: 170–255 queries a second, p99 up to 5.9 s, because a name that nobody knows holds up everybody for \
         5 s, where here it costs its own asker the time-out and nobody else anything.\n",
        ms(names.time),
        names.rate,
        names.duration.as_secs_f64(),
        names.rounds,
        ms(names.timeout),
        ms(names.second),
        ms(names.hedge),
    );
    let usual = measured.iter().find(|one| one.situation == Situation::Well).map(Measured::each).unwrap_or_default();
    for situation in Situation::ALL {
        let of_it = measured.iter().filter(|one| one.situation == situation);
        let rows = of_it.map(|one| row(one, &draw(names, situation, one.variant.rule, &usual, seed)));
        let title = match situation {
            Situation::Slow => format!("{}; the other takes {} ms", situation.title(), ms(names.slow)),
            _ => situation.title().to_owned(),
        };
        let header = ["", "found", "mean in ms", "p50", "p95", "p99", "extra queries for 100"].map(str::to_owned);
        text += &format!("\n**{}{}.**\n\n{}", title[..1].to_uppercase(), &title[1..], table(&header, rows));
    }
    text
}

fn row(one: &Measured, drawn: &[Drawn]) -> Vec<String> {
    let mut times: Vec<f64> = drawn.iter().map(|one| one.ms).collect();
    times.sort_by(f64::total_cmp);
    let part = |of: fn(&Drawn) -> bool| drawn.iter().filter(|one| of(one)).count() as f64 / drawn.len().max(1) as f64;
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    let time = |of: fn(&Sample) -> f64, theory: f64| format!("{:.1} ({theory:.1})", one.median(of));
    let hundred =
        |of: fn(&Sample) -> f64, theory: f64| format!("{:.0} ({:.0})", one.median(of) * 100.0, theory * 100.0);
    vec![
        one.variant.name.to_owned(),
        hundred(|sample| sample.found, part(|one| one.found)).replace(" (", " % ("),
        time(|sample| sample.mean_ms, mean),
        time(|sample| sample.p50_ms, quantile(&times, 0.5)),
        time(|sample| sample.p95_ms, quantile(&times, 0.95)),
        time(|sample| sample.p99_ms, quantile(&times, 0.99)),
        hundred(|sample| sample.extra, part(|one| one.second)),
    ]
}

/// For each situation curves of the tail; and of all, what is paid for what.
pub fn plots(run: &Run, measured: &[Measured]) -> anyhow::Result<()> {
    for situation in Situation::ALL {
        let of_it = || measured.iter().filter(|one| one.situation == situation);
        let curve =
            |one: &Measured| Curve { label: one.variant.name.to_owned(), points: points(&one.each()), thin: false };
        let title = format!("Two name servers, {}", situation.title().split([':', ',']).next().unwrap_or_default());
        Curves { title: format!("{title}: how long a query takes"), curves: of_it().map(curve).collect() }
            .draw(&run.path(&format!("names-{}.svg", situation.name())))?;
        let bars =
            |of: fn(&Sample) -> f64| of_it().map(|one| Bar { value: one.median(of), spread: one.spread(of) }).collect();
        let panels = vec![
            Panel { axis: "found in %".to_owned(), bars: bars(|sample| sample.found * 100.0) },
            Panel { axis: "mean in ms".to_owned(), bars: bars(|sample| sample.mean_ms) },
            Panel { axis: "extra queries for 100".to_owned(), bars: bars(|sample| sample.extra * 100.0) },
        ];
        let rows = of_it().map(|one| one.variant.name.to_owned()).collect();
        Panels { title: format!("{title}: what is paid for what"), rows, panels }
            .draw(&run.path(&format!("names-{}-price.svg", situation.name())))?;
    }
    Ok(())
}

/// Times and the part of the queries that take longer: at 100 %, then ever closer to the slowest.
fn points(sorted: &[f64]) -> Vec<(f64, f64)> {
    const STEPS: u32 = 300;
    let longer = |step: u32| 10_f64.powf(-3.0 * f64::from(step) / f64::from(STEPS));
    (0..=STEPS).map(longer).map(|longer| (quantile(sorted, 1.0 - longer), longer)).collect()
}
