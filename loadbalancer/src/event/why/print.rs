//! Explanations on paper.

use super::{
    Account, End, Explanation, Spent,
    again::Asked,
    words::{ending, moment, text, time},
};
use crate::shards::TABLE;
use std::fmt::{self, Formatter};

/// Where what is said of a step begins, in characters from the left.
const INDENT: usize = 15;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Request {}", self.request)?;
        match &self.accounts[..] {
            [] => return self.nothing(f),
            [one] => write!(f, "{one}")?,
            several => {
                writeln!(f, "This id came {} times: its client asked again under the same id.", several.len())?;
                for (n, account) in several.iter().enumerate() {
                    write!(f, "\nTime {} of {}\n{account}", n + 1, several.len())?;
                }
            }
        }
        self.scope.missing().iter().try_for_each(|missing| writeln!(f, "About the journal: {missing}"))
    }
}

impl Explanation {
    fn nothing(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "The journal says nothing of this request.")?;
        let scope = &self.scope;
        if scope.is_complete() {
            let (from, to) = (moment(scope.from_us), moment(scope.to_us));
            return writeln!(
                f,
                "It is complete from the start of the load balancer at {from} up to {to}: until then the request had not \
                 arrived here."
            );
        }
        scope.missing().iter().try_for_each(|missing| writeln!(f, "{missing}"))?;
        writeln!(f, "So it may have been here all the same.")
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.who(), self.outcome())?;
        writeln!(f)?;
        // A request of a tenth of a millisecond has its steps in microseconds.
        let digits = if self.took_us < 10_000 { 3 } else { 1 };
        for step in &self.steps {
            let (first, rest) = step.says.split_first().map_or(("", &[][..]), |(first, rest)| (&**first, rest));
            let at = format!("+{:.digits$} ms", step.after_us as f64 / 1e3);
            writeln!(f, "{at:>width$}  {first}", width = INDENT - 2)?;
            rest.iter().try_for_each(|line| writeln!(f, "{:INDENT$}{line}", ""))?;
        }
        writeln!(f)?;
        if !self.spent.is_empty() {
            // What is less than a thousandth does not explain anything.
            let counts = |part: &&Spent| part.us * 1_000 >= self.took_us;
            let parts: Vec<String> = self.spent.iter().filter(counts).map(ToString::to_string).collect();
            writeln!(f, "Where the {} went: {}.", time(self.took_us), parts.join("; "))?;
        }
        self.gaps.iter().try_for_each(|gap| writeln!(f, "Not complete: {gap}"))
    }
}

impl Account {
    /// Who asked what, and when.
    fn who(&self) -> String {
        let who = match self.client.as_deref() {
            None => "Somebody".to_owned(),
            Some("") => "A client".to_owned(),
            Some(id) => format!("Client {}", text(id)),
        };
        let what = match Asked::of(self.text.as_deref()) {
            Asked::Unknown => "asked something".to_owned(),
            Asked::Pong => "asked for a pong".to_owned(),
            Asked::Connection => "asked for a connection".to_owned(),
            Asked::File(name) => format!("asked for the file {}", text(name)),
            Asked::Http(asked) | Asked::Statement(asked) => format!("asked: {}", text(asked)),
        };
        format!("{who} {what} ({}).", moment(self.since_us))
    }

    /// What became of it.
    fn outcome(&self) -> String {
        let after = time(self.took_us);
        match &self.end {
            // No id of a server has brackets: nobody was asked.
            End::Answered { server, .. } if server == TABLE => format!("The sharded table answered it after {after}."),
            End::Answered { server, .. } if server.starts_with('(') => {
                format!("The load balancer answered it itself {server} after {after}.")
            }
            End::Answered { server, complete: true } => {
                format!("Server {server} answered it{} after {after}.", self.at())
            }
            End::Answered { server, .. } => {
                format!("Server {server} answered{} after {after}, with an error of the request's own.", self.at())
            }
            End::Closed { server, how } => format!("Server {server} had it{} for {after}: {}", self.at(), ending(how)),
            End::Failed { code, message, .. } => {
                format!("It failed{} after {after} ({code}): {}", self.at(), ending(message))
            }
            End::TakenBack => format!("The client took it back, or was gone, after {after}."),
            End::Abandoned { why } => format!("The client could not be told after {after}: {}", ending(why)),
            End::Unknown => "What became of it is not known.".to_owned(),
        }
    }

    fn at(&self) -> String {
        match self.attempts {
            0 | 1 => String::new(),
            n => format!(
                ", at the {n}{} attempt,",
                match n {
                    2 => "nd",
                    3 => "rd",
                    _ => "th",
                }
            ),
        }
    }
}
