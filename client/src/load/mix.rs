//! Which requests are sent, and how often each.
//!
//! **The problem.** "80 pings for 10 files" drawn by chance is 80 for 10 only on average: a short run may see 70 or 90
//! pings, and two runs are compared that asked for different things.
//!
//! **The idea.** A deck of cards, as many of each request as its weight says, shuffled once with a seed. Request `n` is
//! what card `n` shows; after the last card comes the first again. So each full deck has *exactly* the weights, the
//! order is irregular, and the same seed gives the same requests, whichever client happens to send which.
//!
//! ```text
//! ping=80,file colors.csv=10,sql SELECT 1=10   →   8 : 1 : 1   →   1,000 cards: 800, 100, 100
//! ```
//!
//! **When it is wrong.** Real users do not come in fixed proportions; bursts of expensive requests, which a deck
//! avoids, are what hurts real systems.

use super::template::{Filling, Template};
use crate::request::Request;
use protocol::limits::{MAX_FILE_NAME, MAX_SQL};

/// Most requests of one mix: a card is one byte.
pub const MOST_ITEMS: usize = 100;

/// Greatest weight of one request.
pub const GREATEST_WEIGHT: u32 = 10_000;

/// Fewest cards of a deck, so that it is not as regular as `ping, ping, file, ping, ping, file`.
const FEWEST_CARDS: usize = 1_000;

/// One request of a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As it was typed.
    pub text: String,
    /// How often it is sent, relative to the others.
    pub weight: u32,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Ping,
    File(Template),
    Query(Template),
}

/// Requests in exact proportions.
#[derive(Clone, Debug)]
pub struct Mix {
    items: Vec<Item>,
    deck: Vec<u8>,
}

impl Item {
    /// Reads `ping`, `file NAME`, `sql STATEMENT`, or a bare statement.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(text: &str, weight: u32) -> Result<Self, String> {
        let text = text.trim();
        if weight == 0 || weight > GREATEST_WEIGHT {
            return Err(format!("A weight is a number from 1 to {GREATEST_WEIGHT}; '{text}' has {weight}."));
        }
        let after = |word: &str| Some(rest_after(text, word)?.trim());
        let what = match (after("ping").or(after("\\ping")), after("file"), after("sql")) {
            (Some(""), ..) => What::Ping,
            (Some(rest), ..) => return Err(format!("A ping has no further words, as '{rest}'.")),
            (_, Some(""), _) => return Err("Which file? Write file and its name, as in: file colors.csv".to_owned()),
            (_, Some(name), _) if name.len() > MAX_FILE_NAME => {
                return Err(format!("A file name has at most {MAX_FILE_NAME} bytes."));
            }
            (_, Some(name), _) => What::File(Template::new(name)),
            (.., Some("")) => return Err("Which statement? Write sql and a statement, as in: sql SELECT 1".to_owned()),
            _ if text.is_empty() => {
                return Err("A request is missing: write ping, file NAME or sql STATEMENT.".to_owned());
            }
            (.., sql) => What::Query(Template::new(sql.unwrap_or(text))),
        };
        if text.len() > MAX_SQL {
            return Err(format!("A statement has at most {MAX_SQL} bytes."));
        }
        Ok(Self { text: text.to_owned(), weight, what })
    }

    /// Reads `WEIGHT:REQUEST`; without a weight it is 1.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((weight, request)) if is_number(weight) => Self::new(request, number(weight)?),
            _ => Self::new(text, 1),
        }
    }

    /// The request to be filled for each sending.
    #[must_use]
    pub fn blank(&self) -> Request {
        match self.what {
            What::Ping => Request::Ping,
            What::File(_) => Request::File(String::new()),
            What::Query(_) => Request::Query(String::new()),
        }
    }

    /// Makes the request of one sending out of the last one, in the same memory.
    pub fn fill(&self, filling: Filling, request: &mut Request) {
        match (&self.what, request) {
            (What::File(template), Request::File(text)) | (What::Query(template), Request::Query(text)) => {
                template.fill(filling, text);
            }
            _ => {}
        }
    }
}

/// Reads a mix: `ping=80,file colors.csv=10,sql SELECT 1=10`.
///
/// Statements hold `,` and `=` too, so an item ends at a comma only where a weight stands before it and `ping`, `file`
/// or `sql` behind it.
///
/// # Errors
/// A sentence.
pub fn parse_mix(text: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut begin = 0;
    let commas = text.match_indices(',').map(|(at, _)| at);
    for at in commas.chain([text.len()]) {
        let Some((request, weight)) = text[begin..at].rsplit_once('=').filter(|(_, weight)| is_number(weight.trim()))
        else {
            continue;
        };
        let next = text.get(at + 1..).unwrap_or_default().trim_start();
        if at == text.len() || ["ping", "file", "sql"].iter().any(|word| rest_after(next, word).is_some()) {
            items.push(Item::new(request, number(weight.trim())?)?);
            begin = at + 1;
        }
    }
    if begin <= text.len() {
        let rest = text.get(begin..).unwrap_or_default();
        return Err(format!("'{rest}' is no part of a mix: write REQUEST=WEIGHT, as in ping=80,sql SELECT 1=20."));
    }
    Ok(items)
}

/// What follows this word, in any case, if the text begins with it and it ends there.
fn rest_after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = rest.chars().next().is_none_or(|c| c.is_whitespace() || c == '=');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(digits: &str) -> Result<u32, String> {
    digits.parse().map_err(|_| format!("A weight is a number from 1 to {GREATEST_WEIGHT}, not {digits}."))
}

impl Mix {
    /// A deck of these requests, shuffled with this seed.
    ///
    /// # Errors
    /// When there is none, or there are too many.
    pub fn new(items: Vec<Item>, seed: u64) -> Result<Self, String> {
        if items.is_empty() || items.len() > MOST_ITEMS {
            return Err(format!("A mix has 1 to {MOST_ITEMS} requests; this one has {}.", items.len()));
        }
        let divisor = items.iter().fold(0, |divisor, item| greatest_common_divisor(divisor, item.weight));
        let total: usize = items.iter().map(|item| (item.weight / divisor) as usize).sum();
        let copies = if items.len() == 1 { 1 } else { FEWEST_CARDS.div_ceil(total) };
        let mut deck = Vec::with_capacity(total * copies);
        for (card, item) in (0_u8..).zip(&items) {
            deck.extend(std::iter::repeat_n(card, (item.weight / divisor) as usize * copies));
        }
        fastrand::Rng::with_seed(seed).shuffle(&mut deck);
        Ok(Self { items, deck })
    }

    /// The requests.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Which of them request `n` is.
    #[must_use]
    pub fn card(&self, n: u64) -> usize {
        // A deck is never empty, and its length is a small number.
        let at = n % self.deck.len() as u64;
        usize::from(self.deck[at as usize])
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Vec<(String, u32)> {
        parse_mix(text).unwrap().into_iter().map(|item| (item.text, item.weight)).collect()
    }

    fn item(text: &str, weight: u32) -> (String, u32) {
        (text.to_owned(), weight)
    }

    #[test]
    fn requests_with_their_weights() {
        assert_eq!(
            mix("ping=80, file colors.csv=10,sql SELECT 1=10"),
            [item("ping", 80), item("file colors.csv", 10), item("sql SELECT 1", 10)]
        );
        assert_eq!(mix("PING = 1"), [item("PING", 1)]);
        assert_eq!(mix("file a=b,c.txt=5"), [item("file a=b,c.txt", 5)]);
    }

    #[test]
    fn statements_may_hold_commas_and_equal_signs() {
        let update = "sql UPDATE T SET a=1,b=2 WHERE c=3";
        assert_eq!(mix(&format!("{update}=10,ping=1")), [item(update, 10), item("ping", 1)]);
        let insert = "sql INSERT INTO T VALUES ({n},{client})";
        assert_eq!(mix(&format!("ping=1,{insert}=7")), [item("ping", 1), item(insert, 7)]);
    }

    #[test]
    fn what_is_no_mix_is_told() {
        for text in
            ["", "ping", "ping=", "ping=80,", "ping=80,file", "=5", "ping=0", "ping=99999", "file=3", "ping x=1"]
        {
            assert!(parse_mix(text).is_err(), "{text:?}");
        }
        let error = parse_mix("ping=1,sql SELECT 1").unwrap_err();
        assert!(error.contains("REQUEST=WEIGHT"), "{error}");
    }

    #[test]
    fn single_requests() {
        let parse = |text| Item::parse(text).map(|item| (item.text.clone(), item.weight, item.blank()));
        assert_eq!(parse("3:ping"), Ok(("ping".into(), 3, Request::Ping)));
        assert_eq!(parse("file a:b"), Ok(("file a:b".into(), 1, Request::File(String::new()))));
        assert_eq!(parse("2:SELECT ':'"), Ok(("SELECT ':'".into(), 2, Request::Query(String::new()))));
        assert!(parse("5:").is_err() && parse("0:ping").is_err() && parse("99999999999:ping").is_err());
    }

    #[test]
    fn a_request_is_filled_in_place() {
        let filling = Filling { n: 7, client: 2, random: 0 };
        for (text, filled) in [
            ("file part-{client}.bin", Request::File("part-2.bin".into())),
            ("sql SELECT {n}", Request::Query("SELECT 7".into())),
            ("SELECT {n}", Request::Query("SELECT 7".into())),
            ("ping", Request::Ping),
        ] {
            let item = Item::new(text, 1).unwrap();
            let mut request = item.blank();
            item.fill(filling, &mut request);
            item.fill(filling, &mut request);
            assert_eq!(request, filled);
        }
    }

    #[test]
    fn each_deck_has_the_weights_exactly_and_the_seed_decides_the_order() {
        let deck = |seed| Mix::new(parse_mix("ping=80,file x=10,sql SELECT 1=10").unwrap(), seed).unwrap();
        let order = |seed| (0..2_000).map(|n| deck(seed).card(n)).collect::<Vec<_>>();
        let count = |cards: &[usize], card| cards.iter().filter(|shown| **shown == card).count();
        let first = order(1);
        for thousand in first.chunks(1_000) {
            assert_eq!([0, 1, 2].map(|card| count(thousand, card)), [800, 100, 100]);
        }
        assert_eq!(first, order(1));
        assert_ne!(first, order(2));
        assert!(Mix::new(Vec::new(), 1).is_err());
    }
}
